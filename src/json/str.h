/* What json/doc.c shares with json/str.c; the public string functions are in json/scan.h. */
#ifndef JSON_STR_H
#define JSON_STR_H

#include <stdbool.h>

#include "base/slice.h"

/* Whether the inside of a checked JSON string, unescaped, is exactly `expected`. */
bool json_inside_eq(struct slice inside, struct slice expected);

#endif
