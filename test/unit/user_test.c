/* Who `user` names. */
#include "cmd/user.h"

#include "check.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "weir:x:120:130:AI gateway:/:/usr/sbin/nologin\n"
                             "weird:x:121:131::/:\n"
                             "short:x:122\n"
                             "odd:x:many:5::/:\n"
                             "huge:x:4294967295:5::/:\n"
                             ":x:7:7::/:\n"
                             "last:x:140:141::/:";

int main(void)
{
    static const struct {
        const char *text;
        bool ok;
        uint32_t uid, gid;
    } rows[] = {
        {"weir", true, 120, 130}, {"weird", true, 121, 131}, {"root", true, 0, 0}, {"last", true, 140, 141}, {"65534:65534", true, 65534, 65534},
        {"0:5", true, 0, 5}, {"wei", false, 0, 0}, {"weir:130", false, 0, 0}, {"", false, 0, 0}, {"short", false, 0, 0}, {"odd", false, 0, 0},
        {"huge", false, 0, 0}, {"65534", false, 0, 0}, {"65534:", false, 0, 0}, {":5", false, 0, 0}, {"5:x", false, 0, 0}, {"-1:-1", false, 0, 0},
        {"4294967295:1", false, 0, 0}, {"1:4294967296", false, 0, 0}, {"1:2:3", false, 0, 0}, {"x", false, 0, 0}, {"Weir", false, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t uid = 99, gid = 99;

        check_case(rows[i].text);
        CHECK_INT(user_find(slice_str(rows[i].text), slice_str(passwd), &uid, &gid), rows[i].ok);
        if (rows[i].ok) {
            CHECK_INT(uid, rows[i].uid);
            CHECK_INT(gid, rows[i].gid);
            CHECK_INT(user_find(slice_str(rows[i].text), slice_make(passwd, 0), &uid, &gid), rows[i].text[0] <= '9');
        }
    }
    return check_end();
}
