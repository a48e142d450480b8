@0xe39a5b7c10f2d684;
# What a process asks of the supervisors that root runs for it, and what it hears of them.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::supervisor::wire");
using Death = import "/message/control.capnp".DeathRecord;
using Limits = import "/process/control.capnp".Limits;

struct Supervisor {
  strategy     @0 :UInt8;
  maxRestarts  @1 :UInt32;
  maxSeconds   @2 :Int64;      # durations are nanoseconds
  autoShutdown @3 :UInt8;
  firstStart   @4 :UInt8;
  endWhenDone  @5 :Bool;
  backoffMin   @6 :Int64;
  backoffMax   @7 :Int64;
  factor       @8 :Float64;
  jitter       @9 :Float64;
  reset        @10 :Int64;
  children     @11 :List(Child);
}

struct Child {
  id           @0 :Text;
  restart      @1 :UInt8;
  significant  @2 :Bool;
  stopTimeout  @3 :Int64;
  startTimeout @4 :Int64;
  union {
    process    @5 :Process;
    supervisor @6 :Supervisor;
    actor      @7 :Actor;       # within one process only
  }
}

struct Process {
  entry       @0 :UInt64;       # the same in every copy of root
  arguments   @1 :Data;
  environment @2 :List(Variable);
  saysReady   @3 :Bool;
  watchdog    @4 :Int64;
  names       @5 :List(Text);   # that its actors will have in the tree
  handles     @6 :List(UInt64); # among the arguments
  keepStderr  @7 :Bool;
  limits      @8 :Limits;
  supervises  @9 :Bool;         # its actors: its first one takes an Order about them
}

struct Actor {
  make      @0 :UInt64;
  arguments @1 :Data;
}

struct Variable {
  name  @0 :Text;
  value @1 :Text;
}

struct Order {                  # about the supervisor with that channel
  supervisor @0 :UInt64;
  answerTo   @1 :UInt64;        # another channel, for those that are answered
  path       @2 :Text;          # of a child, or of a supervisor below
  union {
    start          :group {
      spec         @3 :Supervisor;
      name         @4 :Text;    # for messages; empty: none are printed
    }
    stop           @5 :Void;
    kill           @6 :Void;
    startChild     @7 :Child;
    terminateChild @8 :Void;
    restartChild   @9 :Void;
    deleteChild    @10 :Void;
    whichChildren  @11 :Void;
  }
}

struct News {
  union {
    started @0 :Void;
    ended   @1 :Death;          # after this nothing follows
    answer  :group {
      result @2 :UInt8;
      death  @3 :Death;
    }
    child   @4 :Known;          # one of the answer to whichChildren, in order; `answer` follows
  }
}

struct Known {                  # of a child
  path       @0 :Text;
  state      @1 :UInt8;
  supervisor @2 :Bool;
  restarts   @3 :UInt32;
  pid        @4 :Int32;
  died       @5 :Bool;
  death      @6 :Death;
  host       @7 :UInt64;        # the process that has the children of this supervisor, if that is one: its first actor knows them
}

struct LocalAnswer {            # of such an actor, to an Order
  result   @0 :UInt8;
  death    @1 :Death;
  children @2 :List(Known);
}
