// hiredis's asynchronous interface; its struct fields are read by the one wrapper, Sources/Reactor.
#pragma once
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
