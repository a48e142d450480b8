#pragma once

// All of troupe.
#include <troupe/actor.h>
#include <troupe/actor_process.h>
#include <troupe/address.h>
#include <troupe/ask.h>
#include <troupe/block.h>
#include <troupe/catalog.h>
#include <troupe/death.h>
#include <troupe/duration.h>
#include <troupe/errors.h>
#include <troupe/message.h>
#include <troupe/pipe.h>
#include <troupe/process.h>
#include <troupe/program.h>
#include <troupe/queue.h>
#include <troupe/shared_value.h>
#include <troupe/supervision.h>
#include <troupe/supervisor.h>
#include <troupe/sync.h>
#include <troupe/timer.h>
#include <troupe/value.h>
#include <troupe/wait.h>
