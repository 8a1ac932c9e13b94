/* weir: arguments to commands, nothing more. */
#include <string.h>

#include "base/clock.h"
#include "base/sys.h"
#include "base/text.h"
#include "cmd/cmd.h"

static const struct {
    const char *name;
    int (*run)(const struct options *o);
    const char *help;
} commands[] = {
    {"serve", cmd_serve, "the gateway (also without any command)"},
    {"demo", cmd_demo, "a gateway with simulated providers: shows a failover, then serves"},
    {"check", cmd_check, "validates a config: exit 1 and FILE:LINE:COLUMN on a bad one"},
    {"rekey", cmd_rekey, "seals the state directory with another master key, while no gateway runs on it"},
    {"token", cmd_token, "makes a fresh access key and its hash"},
    {"healthcheck", cmd_healthcheck, "exit 0 when the gateway on this machine answers (for containers)"},
    {"version", cmd_version, "version and what this machine's CPU adds"},
};

static int usage(int to, int code)
{
    text_print(to, "usage: weir [COMMAND] [-c FILE] [--salvage] [--to env:NAME|file:PATH]\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        text_print(to, "  %-12s %s\n", commands[i].name, commands[i].help);
    return code;
}

int main(int argc, char **argv)
{
    struct options o = {.argv = argv};
    size_t command = 0;
    int at = 1;

    sys_open_std_fds();
    sys_no_dumps(); /* keys are in memory soon */
    clock_update();
    if (at < argc && argv[at][0] != '-') {
        while (command < sizeof commands / sizeof *commands && strcmp(argv[at], commands[command].name) != 0)
            command++;
        if (command == sizeof commands / sizeof *commands) {
            text_print(TEXT_ERR, "weir: no command `%s`\n", argv[at]);
            return usage(TEXT_ERR, 2);
        }
        at++;
    }
    for (; at < argc; at++) {
        if ((!strcmp(argv[at], "-c") || !strcmp(argv[at], "--config")) && at + 1 < argc)
            o.config = argv[++at];
        else if (!strcmp(argv[at], "--to") && at + 1 < argc)
            o.to = argv[++at];
        else if (!strcmp(argv[at], "--salvage"))
            o.salvage = true;
        else if (!strcmp(argv[at], "-h") || !strcmp(argv[at], "--help"))
            return usage(TEXT_OUT, 0);
        else if (!strcmp(argv[at], "-v") || !strcmp(argv[at], "--version"))
            return cmd_version(&o);
        else
            return usage(TEXT_ERR, 2);
    }
    return commands[command].run(&o);
}
