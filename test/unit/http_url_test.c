/* http/url: base URLs of providers, good and bad in about equal number. */
#include "http/url.h"

#include "check.h"
#include "http_guard.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* want: "https host 443 path", with "ip" for an address and "!" for a port that the text named; NULL: refused */
static const struct {
    struct slice in;
    const char *want;
} cases[] = {
    {BYTES("https://api.openai.com/v1"), "https api.openai.com 443 /v1"},
    {BYTES("https://api.anthropic.com"), "https api.anthropic.com 443 "},
    {BYTES("https://api.anthropic.com/"), "https api.anthropic.com 443 "},
    {BYTES("https://generativelanguage.googleapis.com/v1beta/openai/"),
     "https generativelanguage.googleapis.com 443 /v1beta/openai"},
    {BYTES("http://127.0.0.1:11434/v1"), "http ip 127.0.0.1 11434! /v1"},
    {BYTES("http://localhost"), "http localhost 80 "},
    {BYTES("HTTPS://API.Example.COM:8443/V1"), "https API.Example.COM 8443! /V1"},
    {BYTES("http://[::1]:8080/v1/"), "http ip ::1 8080! /v1"},
    {BYTES("http://[2001:db8:0:1:2:3:4:5]"), "http ip 2001:db8:0:1:2:3:4:5 80 "},
    {BYTES("http://[::ffff:127.0.0.1]"), "http ip ::ffff:127.0.0.1 80 "},
    {BYTES("http://[1:2:3:4:5:6:1.2.3.4]"), "http ip 1:2:3:4:5:6:1.2.3.4 80 "},
    {BYTES("http://[::]"), "http ip :: 80 "},
    {BYTES("http://[1::]"), "http ip 1:: 80 "},
    {BYTES("http://my_service.internal:1"), "http my_service.internal 1! "},
    {BYTES("http://a:65535"), "http a 65535! "},
    {BYTES("https://example.com./v1"), "https example.com 443 /v1"},
    {BYTES("https://x.openai.azure.com/openai/deployments/gpt-4o"),
     "https x.openai.azure.com 443 /openai/deployments/gpt-4o"},
    {BYTES("https://h/a~b!$&'()*+,;=:@-._/c"), "https h 443 /a~b!$&'()*+,;=:@-._/c"},
    {BYTES("https://h/..a/.b/c."), "https h 443 /..a/.b/c."},
    {BYTES("https://3com.example"), "https 3com.example 443 "},
    {BYTES("https://1.2.3.4x"), "https 1.2.3.4x 443 "},
    {BYTES(""), NULL},
    {BYTES("api.openai.com"), NULL},
    {BYTES("//api.openai.com"), NULL},
    {BYTES("ftp://h"), NULL},
    {BYTES("https:/h"), NULL},
    {BYTES("https://"), NULL},
    {BYTES("https:///v1"), NULL},
    {BYTES("https://:443"), NULL},
    {BYTES(" https://h"), NULL},
    {BYTES("https://h "), NULL},
    {BYTES("https://u@h"), NULL},
    {BYTES("https://u:p@h"), NULL},
    {BYTES("https://h@evil"), NULL},
    {BYTES("https://h?x=1"), NULL},
    {BYTES("https://h/?"), NULL},
    {BYTES("https://h/#"), NULL},
    {BYTES("https://h#@evil"), NULL},
    {BYTES("https://h\\@evil"), NULL},
    {BYTES("https://*.h"), NULL},
    {BYTES("https://h%2eevil"), NULL},
    {BYTES("https://h\0evil"), NULL},
    {BYTES("https://h\r\nx"), NULL},
    {BYTES("https://h\xc3\xa9"), NULL},
    {BYTES("https://a..b"), NULL},
    {BYTES("https://.a"), NULL},
    {BYTES("https://."), NULL},
    {BYTES("https://a.."), NULL},
    {BYTES("https://a123456789012345678901234567890123456789012345678901234567890123"), NULL},
    {BYTES("https://h:"), NULL},
    {BYTES("https://h:0"), NULL},
    {BYTES("https://h:65536"), NULL},
    {BYTES("https://h:000080"), NULL},
    {BYTES("https://h:+80"), NULL},
    {BYTES("https://h:8 0"), NULL},
    {BYTES("https://h:80:80"), NULL},
    {BYTES("https://h:18446744073709551696"), NULL},
    {BYTES("http://127.1"), NULL},
    {BYTES("http://2130706433"), NULL},
    {BYTES("http://0x7f.1"), NULL},
    {BYTES("http://0x7f000001"), NULL},
    {BYTES("http://127.0.0.01"), NULL},
    {BYTES("http://127.0.0.256"), NULL},
    {BYTES("http://1.2.3.4.5"), NULL},
    {BYTES("http://a.1"), NULL},
    {BYTES("http://[::1"), NULL},
    {BYTES("http://[]"), NULL},
    {BYTES("http://[:]"), NULL},
    {BYTES("http://[::1]x"), NULL},
    {BYTES("http://[::1]:"), NULL},
    {BYTES("http://[1:2:3:4:5:6:7]"), NULL},
    {BYTES("http://[1:2:3:4:5:6:7:8:9]"), NULL},
    {BYTES("http://[1::2::3]"), NULL},
    {BYTES("http://[1:2:3:4:5:6:7:8::]"), NULL},
    {BYTES("http://[:::1]"), NULL},
    {BYTES("http://[1:]"), NULL},
    {BYTES("http://[:1]"), NULL},
    {BYTES("http://[12345::]"), NULL},
    {BYTES("http://[g::]"), NULL},
    {BYTES("http://[1.2.3.4]"), NULL},
    {BYTES("http://[1:2:3:4:5:6:7:1.2.3.4]"), NULL},
    {BYTES("http://[::1.2.3]"), NULL},
    {BYTES("http://[fe80::1%25eth0]"), NULL},
    {BYTES("http://::1"), NULL},
    {BYTES("https://h//v1"), NULL},
    {BYTES("https://h/v1//"), NULL},
    {BYTES("https://h//"), NULL},
    {BYTES("https://h/./v1"), NULL},
    {BYTES("https://h/v1/.."), NULL},
    {BYTES("https://h/v1/../"), NULL},
    {BYTES("https://h/%2e%2e/v1"), NULL},
    {BYTES("https://h/v 1"), NULL},
    {BYTES("https://h/v\\1"), NULL},
    {BYTES("https://h/v\n1"), NULL},
    {BYTES("https://h/v\x80"), NULL},
    {BYTES("https://h/v\x7f"), NULL},
};

int main(void)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice in = slice_make(guard_copy(cases[i].in), cases[i].in.n);
        struct url u;
        const char *why = NULL;
        char got[300];
        bool ok = url_parse(in, &u, &why);

        check_case(cases[i].in.p);
        if (!cases[i].want) {
            CHECK(!ok);
            CHECK(why && *why);
            continue;
        }
        if (!CHECK(ok)) {
            printf("     %s\n", why);
            continue;
        }
        snprintf(got, sizeof got, "%s %s%.*s %u%s %.*s", u.https ? "https" : "http", u.host_is_ip ? "ip " : "",
                 (int)u.host.n, u.host.p, u.port, u.port_given ? "!" : "", (int)u.path.n, u.path.n ? u.path.p : "");
        CHECK_STR(slice_str(got), cases[i].want);
        CHECK(u.host.p > in.p && u.host.p + u.host.n <= in.p + in.n);
    }
    { /* labels and names at their longest */
        char text[300] = "http://";
        struct url u;
        const char *why;

        for (size_t n = 0; n < 256; n++)
            text[7 + n] = n % 64 == 63 ? '.' : 'a';
        check_case("long names");
        CHECK(url_parse(slice_make(text, 7 + 253), &u, &why));
        CHECK(!url_parse(slice_make(text, 7 + 254), &u, &why));
    }
    return check_end();
}
