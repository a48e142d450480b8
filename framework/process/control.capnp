@0xc8a6f0d3b1e74a52;
# What a process and root say to one another: one message a packet. Descriptors travel beside it.
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("troupe::process::control");
using import "/troupe/address.capnp".Address;
using Death = import "/message/control.capnp".DeathRecord;

struct Place {                # a function: see EntryPlace
  module @0 :UInt32;
  offset @1 :UInt64;
  build  @2 :UInt64;
}

struct Start {
  id           @0 :UInt64;    # chosen by the starter: its serial, then a count
  entry        @1 :Place;
  name         @2 :Text;
  arguments    @3 :Data;      # empty when they come as a memfd, the packet's one descriptor
  environment  @4 :List(Variable);
  stopTimeout  @5 :Int64;     # nanoseconds
  startTimeout @6 :Int64;
  daemon       @7 :Bool;
  program      @8 :Bool;      # `entry` does not count: the arguments say what is executed
  keepStderr   @9 :Bool;
  limits       @10 :Limits;
}

struct Birth {                # root to a process that it forked ahead: what it is to be
  start     @0 :Start;        # but for its entry
  entry     @1 :UInt64;       # the function: their images are the same
  parent    @2 :Text;         # who started it; none if that was root
  parentPid @3 :Int32;
}

struct Limits {               # see troupe::Limits
  memoryBudget     @0 :UInt64;
  memoryMax        @1 :UInt64;
  openFiles        @2 :Int64 = -1;
  coreDumps        @3 :Int8 = -1;
  nice             @4 :Int32 = 1000;   # 1000: none
  cpus             @5 :List(Int32);
  workingDirectory @6 :Text;
}

struct Variable {
  name  @0 :Text;
  value @1 :Text;
}

struct LinkOptions {
  kind         @0 :UInt8;
  ringBytes    @1 :UInt64;
  frameSizeMax @2 :UInt64;
}

struct Request {              # a process to root
  union {
    start    @0 :Start;
    stop     @1 :UInt64;      # only of what this process started
    signal   :group {
      id     @2 :UInt64;
      number @3 :Int32;
    }
    describe @4 :UInt64;      # answered by `described`
    ready    @5 :Void;
    register :group {
      name   @6 :Text;
      actor  @7 :Address;
    }
    lookUp   :group {
      name     @8 :Text;
      question @9 :UInt64;
    }
    connect  :group {         # the packet's descriptors are the ends for `to`
      to      @10 :UInt64;
      options @11 :LinkOptions;
    }
    lastWords @12 :Death;     # why this process will not end well: the detail, the message in hand, where it was
    sentinel  @13 :UInt64;    # answered by `watched`
    failed    @15 :Text;      # why this process could not be started
    blackBox  @16 :Void;      # of one that was executed; the packet's descriptor is the memory
    thing     @17 :ThingRequest;
    order     @14 :Data;      # for Root's service; empty when it comes as a memfd, the packet's one descriptor
  }
}

struct ThingRequest {         # of what handles stand for: see things.h
  union {
    create   :group {         # the packet's descriptor is its memory; answered by `opened`
      id     @0 :UInt64;      # chosen by the maker: its serial, then a count
      kind   @1 :UInt8;
      first  @18 :UInt64;     # of the second end of a pipe: the first one
      socket @22 :Bool;       # of the end of a pipe: a second descriptor is its socket
    }
    open     @2 :UInt64;      # answered by `opened`
    close    @3 :UInt64;
    keep     :group {         # in a pipe
      holder @4 :UInt64;
      held   @5 :List(UInt64);
    }
    unkeep   :group {         # they have arrived
      holder @9 :UInt64;
      held   @10 :List(UInt64);
    }
    grant    :group {         # before the start of that process, which finds them open
      to     @6 :UInt64;
      things @7 :List(UInt64);
    }
    give     :group {         # in a message to that process, which is about to be sent
      to     @11 :UInt64;
      given  @12 :List(UInt64);
    }
    arrived  :group {         # there; or the message was not sent after all
      at     @13 :UInt64;
      gone   @14 :List(UInt64);
    }
    lay      :group {         # an item with these handles is about to be put into that queue
      queue  @15 :UInt64;
      ticket @16 :UInt64;     # of the item: its producer's serial, then a count
      things @17 :List(UInt64);
    }
    laid     @19 :UInt64;     # all that came before is done: answered by `laid`
    over     :group {         # the handles in these items are open where they came to; or the items are not in the queue after all
      from   @20 :UInt64;
      items  @21 :List(UInt64);
    }
    waits    @8 :UInt64;      # the client has waited for that lock for a while
    broken   @23 :UInt64;     # the client found its memory overwritten
  }
}

struct Notice {               # root to a process
  union {
    ended    :group {         # what this process started has ended
      id     @0 :UInt64;
      pid    @1 :Int32;
      death  @2 :Death;
    }
    described :group {
      id     @3 :UInt64;
      pid    @4 :Int32;       # 0: it could not be started, or is gone
    }
    down     :group {         # what this process is, or tried to be, linked with has ended
      process @5 :UInt64;
      death   @6 :Death;
    }
    offered  :group {         # the packet's descriptors are our ends of a link that `from` made
      from    @7 :UInt64;
      options @8 :LinkOptions;
    }
    found    :group {
      question @9 :UInt64;
      actor    @10 :Address;
      options  @11 :LinkOptions;
    }
    notFound :group {
      question @12 :UInt64;
      why      @13 :Death;
    }
    watched  :group {         # the packet's descriptor is its pidfd; none if there was none to spare, or it is gone
      id       @14 :UInt64;
    }
    news     :group {         # of Root's service
      channel  @15 :UInt64;
      data     @16 :Data;
    }
    laid     @21 :UInt64;
    overBudget @20 :Void;     # this process has more memory than it should, from now on
    opened   :group {         # the packet's descriptors are the thing's memory, and its socket; none if it cannot be opened
      thing    @17 :UInt64;
      slot     @18 :UInt32;
      why      @19 :Text;
      overwritten @22 :Bool;  # somebody has overwritten its memory: that is why
    }
  }
}
