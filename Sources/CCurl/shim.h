// What Swift cannot call in libcurl: variadic functions, one inline function per argument type.
#pragma once
#include <curl/curl.h>
