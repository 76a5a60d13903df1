/* An NVML that a test drives while it runs: every call looks into the state file ($NVML_STATE), lines
 * of key=value. Layouts and numbers are those of nvml.h. What is not here is "function not found". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_LOADED = 9, TIMEOUT = 10, LOST = 15, UNKNOWN = 999 };
typedef unsigned int uint;
typedef unsigned long long ull;
typedef struct { int index; } Gpu;
typedef struct { uint field, scope; long long stamp, latency; uint type, result; union { double d; uint u; ull l; } value; } Field;
typedef struct { char legacy[16]; uint domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
typedef struct { Gpu *device; ull type, data; uint gi, ci; } Event;

static Gpu gpus[16];
static long long seen_xid;

static long long get(const char *key, long long otherwise) {
    char line[128];
    size_t length = strlen(key);
    FILE *file = fopen(getenv("NVML_STATE"), "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, key, length) && line[length] == '=') {
            otherwise = strtoll(line + length + 1, NULL, 0);
            break;
        }
    if (file) fclose(file);
    return otherwise;
}

static long long of(Gpu *gpu, const char *key, long long otherwise) {
    char full[64];
    snprintf(full, sizeof full, "gpu%d.%s", gpu->index, key);
    return get(full, get(key, otherwise));
}

static int enter(Gpu *gpu, const char *call) {
    char unsupported[64];
    while (get("all.block", 0) || of(gpu, "block", 0)) usleep(10000);
    usleep(1000 * of(gpu, "slow_ms", 0));
    if (get("unloaded", 0)) return UNINITIALIZED;
    snprintf(unsupported, sizeof unsupported, "no.%s", call);
    return of(gpu, unsupported, 0) ? NOT_SUPPORTED : (int)of(gpu, "error", OK);
}

int nvmlInitWithFlags(uint flags) {
    (void)flags;
    while (get("all.block", 0) || get("init.block", 0)) usleep(10000);
    for (int i = 0; i < 16; i++) gpus[i].index = i;
    seen_xid = get("xid.count", 0);
    return get("unloaded", 0) ? NOT_LOADED : OK;
}
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == LOST ? "GPU is lost" : code == NOT_LOADED ? "Driver Not Loaded" : "an error"; }
int nvmlSystemGetDriverVersion(char *text, uint size) { snprintf(text, size, "570.86.15"); return OK; }
int nvmlDeviceGetCount_v2(uint *count) { *count = get("gpus", 2); return OK; }
int nvmlDeviceGetHandleByIndex_v2(uint index, Gpu **gpu) { *gpu = &gpus[index]; return (int)of(*gpu, "handle_error", OK); }
int nvmlDeviceGetUUID(Gpu *gpu, char *text, uint size) { snprintf(text, size, "GPU-0000000%d-0000-0000-0000-000000000000", gpu->index); return OK; }
int nvmlDeviceGetName(Gpu *gpu, char *text, uint size) { (void)gpu; snprintf(text, size, "NVIDIA H100 80GB HBM3"); return OK; }
int nvmlDeviceGetPciInfo_v3(Gpu *gpu, Pci *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = 0x41 + gpu->index;
    return OK;
}

#define UINT_CALL(name, key, otherwise) int name(Gpu *gpu, uint *value) { *value = of(gpu, key, otherwise); return enter(gpu, key); }
#define UINT_CALL2(name, key, otherwise) int name(Gpu *gpu, uint what, uint *value) { (void)what; *value = of(gpu, key, otherwise); return enter(gpu, key); }
UINT_CALL(nvmlDeviceGetPowerUsage, "power", 312000)
UINT_CALL(nvmlDeviceGetEnforcedPowerLimit, "power_limit", 700000)
UINT_CALL(nvmlDeviceGetPcieReplayCounter, "replays", 0)
UINT_CALL(nvmlDeviceGetCurrPcieLinkGeneration, "generation", 5)
UINT_CALL(nvmlDeviceGetCurrPcieLinkWidth, "width", 16)
UINT_CALL(nvmlDeviceGetMaxPcieLinkWidth, "width_max", 16)
UINT_CALL2(nvmlDeviceGetTemperature, "temperature", 54)
UINT_CALL2(nvmlDeviceGetTemperatureThreshold, "slowdown", 87)
UINT_CALL2(nvmlDeviceGetClockInfo, "clock", 1755)
UINT_CALL2(nvmlDeviceGetMaxClockInfo, "clock_max", 1980)

int nvmlDeviceGetUtilizationRates(Gpu *gpu, uint *rates) { rates[0] = of(gpu, "utilization", 97); rates[1] = 40; return enter(gpu, "utilization"); }
int nvmlDeviceGetMemoryInfo(Gpu *gpu, ull *memory) { memory[0] = 80ull << 30; memory[2] = 40ull << 30; memory[1] = memory[0] - memory[2]; return enter(gpu, "memory"); }
int nvmlDeviceGetCurrentClocksEventReasons(Gpu *gpu, ull *reasons) { *reasons = of(gpu, "reasons", 0); return enter(gpu, "reasons"); }
int nvmlDeviceGetTotalEccErrors(Gpu *gpu, int kind, int counter, ull *count) { (void)counter; *count = of(gpu, kind ? "uncorrected" : "corrected", 0); return enter(gpu, "ecc"); }
int nvmlDeviceGetRemappedRows(Gpu *gpu, uint *correctable, uint *uncorrectable, uint *pending, uint *failed) {
    *correctable = 0; *uncorrectable = of(gpu, "remapped", 0); *pending = of(gpu, "pending", 0); *failed = 0;
    return enter(gpu, "remap");
}
int nvmlDeviceGetNvLinkState(Gpu *gpu, uint link, uint *active) { *active = link < of(gpu, "links", 18); return link < 18 ? enter(gpu, "nvlink") : INVALID; }
int nvmlDeviceGetComputeRunningProcesses_v3(Gpu *gpu, uint *count, void *infos) { (void)infos; *count = 0; return enter(gpu, "processes"); }
int nvmlDeviceGetFieldValues(Gpu *gpu, int count, Field *fields) {
    char key[32];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "field%u", fields[i].field);
        fields[i].type = 3; /* unsigned long long */
        fields[i].value.l = of(gpu, key, 0);
        fields[i].result = of(gpu, key, -1) < 0 ? NOT_SUPPORTED : OK;
    }
    return enter(gpu, "fields");
}
int nvmlDeviceResetGpuLockedClocks(Gpu *gpu) { return enter(gpu, "reset_clocks"); }

int nvmlEventSetCreate(void **set) { *set = gpus; return get("no.events", 0) ? NOT_SUPPORTED : OK; }
int nvmlDeviceRegisterEvents(Gpu *gpu, ull types, void *set) { (void)gpu; (void)types; (void)set; return OK; }
int nvmlEventSetWait_v2(void *set, Event *event, uint timeout_ms) {
    (void)set;
    for (uint waited = 0; waited < timeout_ms; waited += 10, usleep(10000))
        if (get("xid.count", 0) > seen_xid) {
            seen_xid++;
            *event = (Event){.device = &gpus[get("xid.gpu", 0)], .type = 8, .data = get("xid.code", 0)};
            return OK;
        }
    return TIMEOUT;
}
