/* How fast the JSON check is, per SIMD level, on the shapes that matter. Prints MB/s, and ns for one text;
 * the best of several runs, since the machine is shared. Not a test: it judges nothing. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json/scan.h"

enum { TEXT_MAX = 2 << 20 };

static char text[TEXT_MAX];
static size_t len;

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    len += (size_t)vsnprintf(text + len, sizeof(text) - len, format, ap);
    va_end(ap);
}

/* English of roughly this many bytes, with an escape every `every` bytes (0: none). */
static void words(size_t bytes, size_t every)
{
    static const char *const word[] = {"the", "gateway", "answers", "quickly", "when", "a", "model", "is", "slow", "and", "tokens", "flow"};
    size_t end = len + bytes, since = 0;

    for (unsigned i = 7; len < end; i = i * 1103515245u + 12345u) {
        size_t before = len;

        add("%s ", word[(i >> 16) % 12]);
        since += len - before;
        if (every && since >= every) {
            add("%s", i & 0x40000 ? "\\n" : "\\\"");
            since = 0;
        }
    }
}

static void request_head(void)
{
    len = 0;
    add("{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"}");
}

static void chat_1k(void)
{
    request_head();
    add(",{\"role\":\"user\",\"content\":\"");
    words(600, 60);
    add("\"},{\"role\":\"assistant\",\"content\":\"Sure.\"},{\"role\":\"user\",\"content\":\"Go on, please.\"}],"
        "\"temperature\":0.7,\"max_tokens\":1024,\"top_p\":1,\"stream\":true,\"user\":\"u-1234\",\"n\":1}");
}

static void chat_small(void)
{
    request_head();
    add(",{\"role\":\"user\",\"content\":\"Hello!\"}],\"temperature\":0.7,\"max_tokens\":256,\"stream\":true}");
}

static void messages(int count, size_t bytes, size_t every)
{
    request_head();
    for (int i = 0; i < count; i++) {
        add(",{\"role\":\"%s\",\"content\":\"", i & 1 ? "assistant" : "user");
        words(bytes, every);
        add("\"}");
    }
    add("],\"stream\":false}");
}

static void long_text(void) { messages(33, 6000, 200); }
static void escapes_10(void) { messages(1, 100000, 16); }
static void small_messages(void) { messages(1900, 40, 0); }
static void plain_100k(void) { messages(1, 100000, 0); }

static void repeated(const char *unit, size_t bytes)
{
    request_head();
    add(",{\"role\":\"user\",\"content\":\"");
    for (size_t end = len + bytes; len < end;)
        add("%s", unit);
    add("\"}]}");
}

static void base64(void) { repeated("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA", 200000); }
static void chinese(void) { repeated("\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96\xe7\x95\x8c\xe3\x80\x82", 200000); }
static void french(void) { repeated("o\xc3\xb9 l'\xc3\xa9t\xc3\xa9 est pass\xc3\xa9 tr\xc3\xa8s vite \xc3\xa0 la for\xc3\xaat, ", 200000); }
static void chinese_mixed(void) { repeated("GPT \xe6\xa8\xa1\xe5\x9e\x8b\xe7\x9a\x84 API \xe5\xbe\x88\xe5\xbf\xab\xef\xbc\x8c\\n", 200000); }
static void u_escapes(void) { repeated("\\u4f60\\u597d\\uff0c\\u4e16\\u754c\\u3002", 200000); }

static void numbers(void)
{
    len = 0;
    add("[0");
    while (len < 1000000)
        add(",-0.01%zu", len * 7919 % 1000000);
    add("]");
}

static void ones(void)
{
    len = 0;
    add("[1");
    while (len < 1000000)
        add(",1");
    add("]");
}

static void pretty(void)
{
    len = 0;
    add("{\n  \"tools\": [");
    for (int i = 0; i < 900; i++)
        add("%s\n    {\n      \"type\": \"function\",\n      \"function\": {\n        \"name\": \"get_%d\",\n        \"strict\": true\n      }\n    }", i ? "," : "", i);
    add("\n  ]\n}\n");
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double best_ns(void)
{
    struct json_member m[64];
    struct json_check c;
    unsigned rounds = (unsigned)(4000000 / len + 1);
    double best = 1e18;

    for (int run = 0; run < 7; run++) {
        double t = now_ns();

        for (unsigned i = 0; i < rounds; i++) {
            json_check_init(&c, m, 64);
            json_check_feed(&c, text, len);
            if (json_check_end(&c) != PARSE_DONE) {
                printf("not valid: %s\n", c.why);
                exit(1);
            }
        }
        t = (now_ns() - t) / rounds;
        best = t < best ? t : best;
    }
    return best;
}

int main(void)
{
    static const struct {
        const char *name;
        void (*make)(void);
    } shapes[] = {
        {"small chat request", chat_small}, {"1 KB chat request", chat_1k}, {"100 KB one message", plain_100k},
        {"100 KB, 10 % in escapes", escapes_10}, {"200 KB, 33 long messages", long_text},
        {"1,900 small messages", small_messages}, {"200 KB base64", base64}, {"Chinese", chinese},
        {"Chinese, English, \\n", chinese_mixed}, {"French", french}, {"Chinese as \\u", u_escapes},
        {"pretty-printed tools", pretty}, {"[-0.0123,...", numbers}, {"[1,1,...", ones},
    };
    static const char *const levels[] = {"word", "sse2", "avx2", "neon"};

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        shapes[i].make();
        printf("%-26s %8zu B ", shapes[i].name, len);
        for (size_t k = 0; k < sizeof(levels) / sizeof(levels[0]); k++)
            if (json_simd_force(levels[k])) {
                double ns = best_ns();

                printf("  %s %6.0f MB/s %8.0f ns", levels[k], (double)len * 1e3 / ns, ns);
            }
        printf("\n");
    }
    return 0;
}
