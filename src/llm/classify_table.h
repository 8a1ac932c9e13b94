/* The facts of classification as rows: which word at which status, from whom, means what. llm/classify.c reads an
 * answer into words; this says what they amount to. Pure data. */
#ifndef LLM_CLASSIFY_TABLE_H
#define LLM_CLASSIFY_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "llm/outcome.h"

enum class_where {
    CLASS_STATUS, /* the status alone; word is NULL */
    CLASS_CODE,   /* one of the error's codes or types is this word (case folded) */
    CLASS_TEXT    /* the message has this text (case folded); '*' stands for anything between */
};

/* Packed into 16 bytes: there are 150 of them. */
struct class_rule {
    const char *word;
    uint8_t dialects;             /* bit per enum dialect */
    uint8_t outcome;              /* enum outcome */
    uint32_t where : 2;           /* enum class_where */
    uint32_t min : 10, max : 10;  /* status; an error inside a 200 that names no status has 0 */
    uint32_t amounts_to : 10;     /* status of an error that came without one */
};

/* First match wins. The last rows match every status, so something always does. */
extern const struct class_rule class_rules[];
extern const size_t class_rules_count;

#endif
