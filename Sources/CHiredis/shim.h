// hiredis's context and reply reader; their struct fields are read by the one wrapper, Sources/Reactor.
#pragma once
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
