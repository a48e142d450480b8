#!/usr/bin/env python3
"""Holds the tree to its own rules: prints each breach as file:line: message, and exits with 1 if there is any.

    tidy.py ROOT [--compiler CXX [FLAG...]]

The rooms and what each may use are read from framework/CMakeLists.txt. With a compiler, each public header must compile alone.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

CODE = {".h", ".cpp"}
TEXT = CODE | {".capnp", ".cmake", ".txt", ".md", ".toml", ".py", ".json", ".in", ""}
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
CAPNP_IMPORT = re.compile(r'import\s+"([^"]+)"')
# Standard headers have no dot or slash; these besides them may stand in a public header.
PUBLIC_MAY_INCLUDE = re.compile(r"[a-z_0-9]+|(troupe|capnp|kj)/.+|sys/types\.h")
# Of one machine, or of unfinished work. Written so that this file does not match itself.
STRAY = re.compile(r"(?<![\w./])/(?:work|root|home/\w+|Users/\w+)/|\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|\bdeb\.deb" r"ian\.org\b")
SLEEP = re.compile(r"\b(?:sleep_for|sleep_until|usleep|nanosleep)\s*\(")


class Room:
    def __init__(self, name, uses, headers):
        self.name, self.uses, self.headers = name, uses, headers
        self.below = set()  # itself and all that it may include


class Tidy:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.breaches = []
        self.rooms = {}
        self.owner = {}  # public header or schema -> room

    def say(self, path, line, message):
        self.breaches.append(f"{path.relative_to(self.root)}:{line}: {message}")

    def files(self, *folders, suffixes=None):
        for folder in folders:
            for base, dirs, names in os.walk(self.root / folder):
                dirs[:] = sorted(d for d in dirs if d not in ("build", "__pycache__") and not (d.startswith(".") and d != ".ci"))
                for name in sorted(names):
                    path = pathlib.Path(base) / name
                    if suffixes is None or path.suffix in suffixes:
                        yield path

    # The map of rooms.

    def read_rooms(self):
        path = self.root / "framework/CMakeLists.txt"
        text = re.sub(r"#.*", "", path.read_text(encoding="utf-8", errors="replace"))
        for call in re.finditer(r"troupe_room\(([^)]*)\)", text):
            line = text.count("\n", 0, call.start()) + 1
            words = call.group(1).split()
            lists, current = {"USES": [], "HEADERS": [], "LINKS": []}, None
            for word in words[1:]:
                if word in lists:
                    current = lists[word]
                else:
                    current.append(word)
            room = Room(words[0], lists["USES"], lists["HEADERS"])
            room.below.add(room.name)
            for use in room.uses:
                if use in self.rooms:
                    room.below |= self.rooms[use].below
                else:
                    self.say(path, line, f"{room.name} uses {use}, which does not stand above it in the list: rooms stand bottom first")
            self.rooms[room.name] = room
            for header in room.headers:
                if header in self.owner:
                    self.say(path, line, f"{header} belongs to {self.owner[header]} already")
                self.owner.setdefault(header, room.name)
                if not (self.root / "framework/include/troupe" / header).exists():
                    self.say(path, line, f"public header {header} of {room.name} does not exist")
        folders = {p.name for p in (self.root / "framework").iterdir() if p.is_dir()} - {"include", "decisions"}
        for folder in sorted(folders - set(self.rooms)):
            if any(self.files(f"framework/{folder}", suffixes=TEXT)):
                self.say(path, 1, f"framework/{folder} is not in the list of rooms")

    # Includes.

    def includes(self, path):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if path.suffix == ".capnp":
                for match in CAPNP_IMPORT.finditer(line):
                    yield number, "<" if match.group(1).startswith("/") else '"', match.group(1).lstrip("/")
            elif match := INCLUDE.match(line):
                yield number, match.group(1), match.group(2)

    def public_owner(self, name):
        """The room of <troupe/NAME>, also where NAME is generated from a schema; None if nobody's."""
        return self.owner.get(name) or self.owner.get(name.removesuffix(".h") if name.endswith(".capnp.h") else name)

    def check_public_headers(self):
        for path in self.files("framework/include/troupe", suffixes={".h", ".capnp"}):
            room = self.owner.get(path.name)
            if room is None:
                self.say(path, 1, "belongs to no room: name it after HEADERS in framework/CMakeLists.txt")
                continue
            for line, quote, name in self.includes(path):
                if quote == '"':
                    self.say(path, line, f'a public header includes "{name}"; use <troupe/…>')
                elif not PUBLIC_MAY_INCLUDE.fullmatch(name):
                    self.say(path, line, f"a public header includes <{name}>: only the standard library, Cap'n Proto and <troupe/…>")
                elif name.startswith("troupe/"):
                    self.check_direction(path, line, room, self.public_owner(name.removeprefix("troupe/")), name)

    def check_direction(self, path, line, room, used, name):
        if used is None:
            self.say(path, line, f"<{name}> belongs to no room")
        elif used not in self.rooms[room].below:
            self.say(path, line, f"{room} may not use {used} ({name})")

    def check_rooms(self):
        for room in self.rooms:
            for path in self.files(f"framework/{room}", suffixes=CODE | {".capnp"}):
                for line, quote, name in self.includes(path):
                    if name.startswith("caf/") and room != "node":
                        self.say(path, line, f"<{name}>: only the room node includes CAF")
                    elif name.startswith("troupe/"):
                        self.check_direction(path, line, room, self.public_owner(name.removeprefix("troupe/")), name)
                    elif quote == '"' and path.suffix != ".capnp":
                        self.check_quoted(path, line, room, name)

    def check_quoted(self, path, line, room, name):
        used = name.split("/")[0]
        if used not in self.rooms:
            # main.cpp carries the ready-made actors.
            if not (path.name == "main.cpp" and (self.root / "actors" / name).exists()):
                self.say(path, line, f'"{name}" names no room: "<room>/<header>.h"')
            return
        source = self.root / "framework" / (name.removesuffix(".h") if name.endswith(".capnp.h") else name)
        if not source.exists():
            self.say(path, line, f'"{name}" does not exist')
        self.check_direction(path, line, room, used, name)

    def check_users(self):
        """Actors and examples see the public headers only."""
        for path in self.files("actors", "examples", suffixes=CODE):
            for line, quote, name in self.includes(path):
                if name.startswith("caf/"):
                    self.say(path, line, f"<{name}>: only the room node includes CAF")
                elif quote == '"' and name.split("/")[0] in self.rooms:
                    self.say(path, line, f'"{name}" is not public: actors and examples include <troupe/…> only')

    # What is true of every file.

    def check_texts(self):
        everywhere = ("framework", "actors", "examples", "config", "tests", "bench", "cmake", "docs", ".ci")
        top = [p for p in sorted(self.root.iterdir()) if p.is_file() and p.suffix in TEXT and p.name not in ("LICENSE", ".git")]
        for path in [*top, *self.files(*everywhere)]:
            if path.name.endswith((".capnp.h", ".capnp.c++")):
                self.say(path, 1, "generated code belongs in the build tree")
                continue
            if path.suffix not in TEXT or "corpus" in path.parts or (path.suffix == ".toml" and "tests" in path.parts):
                continue  # the last are right or wrong on purpose
            self.check_text(path, path.read_text(encoding="utf-8", errors="replace"))

    def check_text(self, path, text):
        if text and not text.endswith("\n"):
            self.say(path, text.count("\n") + 1, "no newline at the end")
        before = ""
        for number, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip() and path.suffix != ".md":
                self.say(path, number, "white space at the end of the line")
            if match := STRAY.search(line):
                self.say(path, number, f"{match.group(0)} does not belong in the tree")
            if path.suffix in CODE:
                if "\t" in line:
                    self.say(path, number, "a tab")
                if path.is_relative_to(self.root / "tests") and SLEEP.search(line) and "//" not in before + line:
                    self.say(path, number, "a test that sleeps hopes: wait for what it is about, or say in a comment why not")
                before = line
        if path.suffix == ".h" and not text.startswith("#pragma once\n"):
            self.say(path, 1, "a header begins with #pragma once")

    def check_quotations(self):
        """<!-- FILE --> before a block of code in a document: the block is that file."""
        for path in [*self.root.glob("*.md"), *self.files("docs", "framework", suffixes={".md"})]:
            text = path.read_text(encoding="utf-8", errors="replace")
            for match in re.finditer(r"<!-- (\S+) -->\s*\n```\w*\n(.*?)```", text, re.DOTALL):
                line = text.count("\n", 0, match.start()) + 1
                source = self.root / match.group(1)
                if not source.exists():
                    self.say(path, line, f"{match.group(1)} does not exist")
                elif source.read_text(encoding="utf-8", errors="replace") != match.group(2):
                    self.say(path, line, f"the code below is not that of {match.group(1)}")

    def check_headers_compile(self, command):
        headers = list(self.files("framework/include/troupe", suffixes={".h"}))
        def compiles(path):
            return subprocess.run([*command, "-std=c++20", "-fsyntax-only", "-w", "-x", "c++", str(path)], capture_output=True, text=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for path, result in zip(headers, pool.map(compiles, headers)):
                if result.returncode != 0:
                    error = next((l for l in result.stderr.splitlines() if "error:" in l), "")
                    self.say(path, 1, "does not compile alone: " + error)

    def run(self, compiler):
        self.read_rooms()
        self.check_public_headers()
        self.check_rooms()
        self.check_users()
        self.check_texts()
        self.check_quotations()
        if compiler:
            self.check_headers_compile(compiler)
        return self.breaches


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--compiler", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    breaches = Tidy(options.root).run(options.compiler)
    print(*breaches, sep="\n") if breaches else print("tidy")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
