/* Runs a target over files without a fuzzing compiler: each file of each folder named, twice, so that what one input leaves behind can
 * harm another. The properties are the same; only nothing new is invented. */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned inputs;

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    long size;
    uint8_t *p;

    if (!f || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) {
        fprintf(stderr, "%s can't be read\n", path);
        exit(2);
    }
    rewind(f);
    p = malloc((size_t)size + 1);
    if (!p || fread(p, 1, (size_t)size, f) != (size_t)size)
        abort();
    fclose(f);
    printf("%s\n", path); /* the last line names the culprit */
    fflush(stdout);
    (void)LLVMFuzzerTestOneInput(p, (size_t)size);
    free(p);
    inputs++;
}

/* A folder's files in order; a folder that is not there holds none. */
static void run_path(const char *path)
{
    struct dirent **name = NULL;
    struct stat st;
    int n;

    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        run_file(path);
        return;
    }
    n = scandir(path, &name, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char file[1024];

        snprintf(file, sizeof file, "%s/%s", path, name[i]->d_name);
        if (name[i]->d_name[0] != '.')
            run_path(file);
        free(name[i]);
    }
    if (n >= 0)
        free(name);
}

int main(int argc, char **argv)
{
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int round = 0; round < 2; round++)
        for (int i = 1; i < argc; i++)
            run_path(argv[i]);
    printf("%u passed, 0 failed\n", inputs);
    return 0;
}
