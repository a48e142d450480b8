@0xe39a5b7c10f2d684;
# What a process asks of the supervisors that root runs for it, and what it hears of them.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::supervisor::wire");

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

struct Death {
  cause  @0 :UInt8;
  code   @1 :Int32;
  detail @2 :Text;
  restarts @3 :UInt32;
}

struct News {
  union {
    started @0 :Void;
    ended   @1 :Death;          # after this nothing follows
    answer  :group {
      result @2 :UInt8;
      death  @3 :Death;
    }
    child   :group {            # one of the answer to whichChildren, in order; `answer` follows
      path       @4 :Text;
      state      @5 :UInt8;
      supervisor @6 :Bool;
      restarts   @7 :UInt32;
      pid        @8 :Int32;
      died       @9 :Bool;
      death      @10 :Death;
    }
  }
}
