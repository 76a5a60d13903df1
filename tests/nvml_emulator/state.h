/* The state file: lines of key=value, read again whenever the file is replaced. Knows nothing of NVML. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { KEYS = 512, KEY_BYTES = 48, LOOK_NS = 5000000 };
typedef struct { char key[KEY_BYTES]; long long value; } Setting;

static Setting settings[KEYS];
static int setting_count;
static struct timespec settings_changed;
static ino_t settings_inode;
static long long settings_looked_ns;
static pthread_mutex_t settings_lock = PTHREAD_MUTEX_INITIALIZER;

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void load_settings(void) {
    struct stat found;
    const char *path = getenv("NVML_STATE");
    long long at_ns = now_ns();
    if (!path || at_ns - settings_looked_ns < LOOK_NS) return;
    settings_looked_ns = at_ns;
    if (stat(path, &found)) return;
    if (found.st_ino == settings_inode && !memcmp(&found.st_mtim, &settings_changed, sizeof settings_changed)) return;
    FILE *file = fopen(path, "r");
    if (!file) return;
    settings_inode = found.st_ino;
    settings_changed = found.st_mtim;
    setting_count = 0;
    char line[128];
    while (setting_count < KEYS && fgets(line, sizeof line, file)) {
        char *equals = strchr(line, '=');
        if (!equals || equals - line >= KEY_BYTES) continue;
        *equals = 0;
        strcpy(settings[setting_count].key, line);
        settings[setting_count++].value = strtoll(equals + 1, NULL, 0);
    }
    fclose(file);
}

/* The value of a key, of "gpu<number>.<key>" first when number is not negative. */
static long long setting(int number, const char *key, long long otherwise) {
    char own[KEY_BYTES];
    int length = number < 0 ? 0 : snprintf(own, sizeof own, "gpu%d.%s", number, key);
    pthread_mutex_lock(&settings_lock);
    load_settings();
    for (int i = 0; i < setting_count; i++) {
        if (length && !strcmp(settings[i].key, own)) { otherwise = settings[i].value; break; }
        if (!strcmp(settings[i].key, key)) otherwise = settings[i].value;
    }
    pthread_mutex_unlock(&settings_lock);
    return otherwise;
}
