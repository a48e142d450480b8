#!/usr/bin/env python3
"""Plants one breach after the other in a small tidy tree, and expects tidy.py to find just that one."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from tidy import Tidy  # noqa: E402

COMPILER = sys.argv.pop(1) if len(sys.argv) > 1 else "c++"

TREE = {
    "framework/CMakeLists.txt": "troupe_room(base HEADERS errors.h LINKS fmt::fmt)\ntroupe_room(os USES base)\n"
                                "troupe_room(ring USES base)\ntroupe_room(node USES os HEADERS actor.h actor.capnp)\n",
    "framework/include/troupe/errors.h": "#pragma once\n\n#include <string>\n",
    "framework/include/troupe/actor.h": "#pragma once\n\n#include <troupe/errors.h>\n",
    "framework/include/troupe/actor.capnp": "@0xd6e0f1a38b52c947;\n",
    "framework/base/check.h": "#pragma once\n",
    "framework/os/file.h": "#pragma once\n\n#include <troupe/errors.h>\n\n#include \"base/check.h\"\n",
    "framework/ring/ring.h": "#pragma once\n",
    "framework/ring/ring.capnp": "@0xd6e0f1a38b52c948;\n",
    "framework/node/node.cpp": "#include <troupe/actor.capnp.h>\n#include <caf/actor.hpp>\n\n#include \"os/file.h\"\n",
    "actors/clock.h": "#pragma once\n\n#include <troupe/actor.h>\n",
    "examples/hello.cpp": "int main() {}\n",
    "README.md": "<!-- examples/hello.cpp -->\n```cpp\nint main() {}\n```\n",
}


class TidyTest(unittest.TestCase):
    def breaches(self, changes, compiler=None):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**TREE, **changes}.items():
                path = pathlib.Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            command = compiler and [*compiler, "-I", folder + "/framework/include"]
            return Tidy(folder).run(command)

    def expect(self, message, changes, compiler=None):
        found = self.breaches(changes, compiler)
        self.assertEqual(len(found), 1, found)
        self.assertIn(message, found[0])

    def test_a_tidy_tree_is_tidy(self):
        self.assertEqual(self.breaches({}, [COMPILER]), [])

    def test_includes_against_the_direction(self):
        self.expect("base may not use os", {"framework/base/a.cpp": '#include "os/file.h"\n'})
        self.expect("ring may not use os", {"framework/ring/a.cpp": '#include "os/file.h"\n'})
        self.expect("os may not use node", {"framework/os/a.cpp": "#include <troupe/actor.h>\n"})
        self.expect("os may not use node", {"framework/os/a.cpp": "#include <troupe/actor.capnp.h>\n"})
        self.expect("ring may not use node", {"framework/ring/ring.capnp": 'using A = import "/troupe/actor.capnp".A;\n'})
        self.expect("base may not use node", {"framework/include/troupe/errors.h": "#pragma once\n#include <troupe/actor.h>\n"})

    def test_rooms_stand_bottom_first(self):
        self.expect("bottom first", {"framework/CMakeLists.txt": "troupe_room(early USES late)\n" + TREE["framework/CMakeLists.txt"]})

    def test_every_folder_is_a_room(self):
        self.expect("not in the list of rooms", {"framework/attic/a.h": "#pragma once\n"})

    def test_only_node_includes_caf(self):
        self.expect("only the room node", {"framework/os/a.cpp": "#include <caf/all.hpp>\n"})
        self.expect("only the room node", {"actors/a.cpp": "#include <caf/all.hpp>\n"})

    def test_public_headers_show_nothing_internal(self):
        header = "framework/include/troupe/actor.h"
        self.expect("a public header includes <caf/actor.hpp>", {header: "#pragma once\n#include <caf/actor.hpp>\n"})
        self.expect('a public header includes "os/file.h"', {header: '#pragma once\n#include "os/file.h"\n'})
        self.expect("a public header includes <fmt/format.h>", {header: "#pragma once\n#include <fmt/format.h>\n"})

    def test_public_headers_belong_to_one_room(self):
        self.expect("belongs to no room", {"framework/include/troupe/stray.h": "#pragma once\n"})
        rooms = TREE["framework/CMakeLists.txt"]
        self.expect("belongs to base already", {"framework/CMakeLists.txt": rooms + "troupe_room(top USES node HEADERS errors.h)\n"})
        self.expect("does not exist", {"framework/CMakeLists.txt": rooms + "troupe_room(top USES node HEADERS gone.h)\n"})

    def test_public_headers_compile_alone(self):
        self.expect("does not compile alone", {"framework/include/troupe/actor.h": "#pragma once\nstd::string name();\n"}, [COMPILER])

    def test_actors_see_public_headers_only(self):
        self.expect("is not public", {"actors/a.cpp": '#include "os/file.h"\n'})

    def test_headers_are_guarded(self):
        self.expect("#pragma once", {"framework/os/a.h": "#ifndef A\n#define A\n#endif\n"})

    def test_texts(self):
        self.expect("does not belong", {"docs/a.md": "see /ro" + "ot/notes\n"})
        self.expect("does not belong", {"framework/os/a.cpp": "// TO" + "DO: more\n"})
        self.expect("generated code", {"framework/os/a.capnp.h": "#pragma once\n"})
        self.expect("no newline", {"framework/os/a.cpp": "int x;"})
        self.expect("white space", {"framework/os/a.cpp": "int x; \n"})
        self.expect("a tab", {"framework/os/a.cpp": "\tint x;\n"})
        self.expect("sleeps", {"tests/os/a_test.cpp": "void f() { usle" + "ep(5); }\n"})
        self.assertEqual(self.breaches({"tests/os/a_test.cpp": "// at random moments\nvoid f() { usle" + "ep(5); }\n"}), [])

    def test_quoted_code_is_the_code(self):
        self.expect("is not that of", {"examples/hello.cpp": "int main() { return 1; }\n"})


if __name__ == "__main__":
    unittest.main()
