/* The intrusive list against an array that does the same. */
#include "base/list.h"
#include "check.h"

enum { NODES = 8, STEPS = 20000 };

struct item {
    int id;
    struct list node;
};

static struct item item[NODES];
static int model[NODES], model_n;

static void model_remove(int id)
{
    for (int i = 0; i < model_n; i++)
        if (model[i] == id) {
            memmove(model + i, model + i + 1, (size_t)(model_n - i - 1) * sizeof *model);
            model_n--;
            return;
        }
}

static bool same(const struct list *head)
{
    const struct list *n = head->next, *before = head;

    for (int i = 0; i < model_n; i++, before = n, n = n->next)
        if (n->prev != before || container_of((struct list *)(uintptr_t)n, struct item, node)->id != model[i])
            return false;
    return n == head && head->prev == before;
}

static void random_walk(void)
{
    struct list head;
    uint32_t seed = 12345;
    bool ok = true, linked_ok = true;

    list_init(&head);
    CHECK(list_empty(&head));
    for (int i = 0; i < NODES; i++)
        item[i].id = i;
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1664525u + 1013904223u;
        int id = (int)(seed >> 28) % NODES, what = (int)(seed >> 20 & 3);
        struct item *it = &item[id];

        if (what == 0 && !list_linked(&it->node)) {
            list_push_front(&head, &it->node);
            memmove(model + 1, model, (size_t)model_n * sizeof *model);
            model[0] = id;
            model_n++;
        } else if (what == 1 && !list_linked(&it->node)) {
            list_push_back(&head, &it->node);
            model[model_n++] = id;
        } else if (what == 2) {
            list_remove(&it->node); /* also when it is in no list */
            model_remove(id);
        } else if (what == 3) {
            struct list *n = list_pop_front(&head);

            linked_ok = linked_ok && (n != NULL) == (model_n > 0);
            if (n)
                model_remove(container_of(n, struct item, node)->id);
        }
        ok = ok && same(&head) && list_empty(&head) == (model_n == 0);
        for (int i = 0, in = 0; i < NODES; i++, in = 0) {
            for (int k = 0; k < model_n; k++)
                in |= model[k] == i;
            linked_ok = linked_ok && list_linked(&item[i].node) == (in != 0);
        }
    }
    check_case("20000 random steps against an array");
    CHECK(ok);
    CHECK(linked_ok);
}

int main(void)
{
    random_walk();
    return check_end();
}
