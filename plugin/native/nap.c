/* Lets the VM rest for microseconds while it stands still: rabbit_hot_backup_nap.
 *
 * It is linked with nothing: what it calls is in the VM and in the C library that the VM has loaded, whichever that is. */
#include <erl_nif.h>
#include <time.h>

enum { longest_nap_us = 1000 };

static ERL_NIF_TERM nap(ErlNifEnv* env, int count, const ERL_NIF_TERM arguments[]) {
    (void)count;
    unsigned microseconds = 0;
    if (!enif_get_uint(env, arguments[0], &microseconds) || microseconds > longest_nap_us) {
        return enif_make_badarg(env);
    }
    const struct timespec time = {0, (long)microseconds * 1000};
    /* A signal ends it early, which does no harm. */
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
    return arguments[0];
}

/* A library that cannot take over from an older one would keep the plugin from being enabled again. */
static int upgrade(ErlNifEnv* env, void** data, void** old_data, ERL_NIF_TERM argument) {
    (void)env, (void)data, (void)old_data, (void)argument;
    return 0;
}

/* What ERL_NIF_INIT of erl_nif.h makes would load only in Erlang releases from the one on that it is compiled with. Nothing here is newer
 * than version 2.14 of the interface, of Erlang 21. */
ERL_NIF_INIT_EXPORT ErlNifEntry* nif_init(void);
ERL_NIF_INIT_EXPORT ErlNifEntry* nif_init(void) {
    static ErlNifFunc functions[] = {{"nap", 1, nap, 0}};
    static ErlNifEntry entry = {
        .major = 2,
        .minor = 14,
        .name = "rabbit_hot_backup_nap",
        .num_of_funcs = 1,
        .funcs = functions,
        .upgrade = upgrade,
        .vm_variant = ERL_NIF_VM_VARIANT,
        .options = 1,
        .sizeof_ErlNifResourceTypeInit = sizeof(ErlNifResourceTypeInit),
        .min_erts = "erts-10.0",
    };
    return &entry;
}
