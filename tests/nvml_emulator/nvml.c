/* An NVML that a test drives while it runs, by the state file $NVML_STATE. Layouts and numbers are those
 * of nvml.h (NVML API 13). What is not here is "function not found", as with an older driver. */
#include "state.h"
#include "profiles.h"
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, SMALL = 7, NOT_LOADED = 9, TIMEOUT = 10,
    LOST = 15, MISMATCH = 18, UNKNOWN = 999, GPUS = 16, INSTANCES = 8, ALL_LINKS = -1,
};
typedef unsigned int uint;
typedef unsigned long long ull;
typedef struct Gpu { int number, instance; struct Gpu *parent; } Gpu;
typedef struct { uint field, scope; long long stamp, latency; uint type, result; union { double d; uint u; ull l; int i; } value; } Field;
typedef struct { char legacy[16]; uint domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
typedef struct { Gpu *device; ull type, data; uint gi, ci; } Event;
typedef struct { uint version; ull total, reserved, free, used; } Memory2;
typedef struct { uint pid; ull used; uint gi, ci; } Process;
typedef struct { uint version; unsigned char cluster[16]; uint status, clique, state, mask; unsigned char summary; } Fabric;
typedef struct { uint version; ull agg_parity, agg_secded, agg_cor, vol_parity, vol_secded, vol_cor, l2, sm, pcie, mcu, other; uint exceeded; } Sram;
typedef struct { uint version, sensor; int temperature; } Temperature;
typedef struct { uint version; int margin; } Margin;
typedef struct { uint version, channel, tpc; } Repair;
typedef struct { uint id, result; double value; char *names[3]; } Metric;
typedef struct { uint version, count; void *first, *second; Metric metrics[]; } Metrics;

static Gpu gpus[GPUS], instances[GPUS][INSTANCES];
static int listed[GPUS], listed_count;
static long long session_reloads = -1, seen_xids;

static long long any(const char *key, long long otherwise) { return setting(-1, key, otherwise); }
static long long of(const Gpu *gpu, const char *key, long long otherwise) { return setting(gpu->number, key, otherwise); }
/* A counter that grows by a rate: "<key>" is where it stands, "<key>_rate" what it gains a second. */
static ull grown(const Gpu *gpu, const char *key, ull rate) {
    char name[KEY_BYTES];
    snprintf(name, sizeof name, "%s_rate", key);
    return of(gpu, key, 0) + (ull)(of(gpu, name, rate) * (now_ns() / 1e9));
}

static int enter(const Gpu *gpu, const char *call) {
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "block.%s", call);
    while (any("all.block", 0) || of(gpu, "block", 0) || of(gpu, key, 0)) usleep(20000);
    long long slow_ms = of(gpu, "slow_ms", 0);
    if (slow_ms) usleep(1000 * slow_ms);
    if (any("unloaded", 0) || any("reloads", 0) != session_reloads) return UNINITIALIZED;
    snprintf(key, sizeof key, "no.%s", call);
    if (of(gpu, key, 0)) return NOT_SUPPORTED;
    return of(gpu, "gone", 0) ? LOST : (int)of(gpu, "error", OK);
}

/* ---- the library ---- */
int nvmlInitWithFlags(uint flags) {
    (void)flags;
    while (any("all.block", 0) || any("init.block", 0)) usleep(20000);
    if (any("unloaded", 0)) return NOT_LOADED;
    if (any("mismatch", 0)) return MISMATCH;
    session_reloads = any("reloads", 0);
    seen_xids = any("xid.count", 0);
    listed_count = 0;
    for (int last = 0; last < 2; last++) /* a GPU with "last" set comes back behind the others */
        for (int i = 0; i < any("gpus", 8) && i < GPUS; i++) {
            gpus[i] = (Gpu){.number = i, .instance = -1};
            if (!of(&gpus[i], "gone", 0) && !!of(&gpus[i], "last", 0) == last) listed[listed_count++] = i;
        }
    return OK;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) {
    switch (code) {
    case OK: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_LOADED: return "Driver Not Loaded";
    case LOST: return "GPU is lost";
    case 16: return "GPU requires restart";
    case MISMATCH: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}
int nvmlSystemGetDriverVersion(char *text, uint size) { snprintf(text, size, "580.%lld.05", 82 + any("reloads", 0)); return OK; }
int nvmlSystemGetNVMLVersion(char *text, uint size) { snprintf(text, size, "13.580.82.05"); return OK; }
int nvmlDeviceGetCount_v2(uint *count) { *count = listed_count; return OK; }

/* ---- what a GPU is ---- */
int nvmlDeviceGetHandleByIndex_v2(uint index, Gpu **gpu) {
    if ((int)index >= listed_count) return INVALID;
    *gpu = &gpus[listed[index]];
    int code = enter(*gpu, "handle");
    return code ? code : (int)of(*gpu, "handle_error", OK);
}
int nvmlDeviceGetUUID(Gpu *gpu, char *text, uint size) {
    if (gpu->parent) snprintf(text, size, "MIG-%08d-0000-0000-0000-00000000000%d", gpu->number, gpu->instance);
    else snprintf(text, size, "GPU-%08d-0000-0000-0000-000000000000", gpu->number);
    return enter(gpu, "uuid");
}
int nvmlDeviceGetName(Gpu *gpu, char *text, uint size) {
    snprintf(text, size, gpu->parent ? "%s MIG 1g.10gb" : "%s", profile()->name);
    return OK;
}
int nvmlDeviceGetPciInfo_v3(Gpu *gpu, Pci *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = 0x41 + gpu->number;
    return OK;
}
int nvmlDeviceGetSerial(Gpu *gpu, char *text, uint size) { snprintf(text, size, "165402400%04d", gpu->number); return enter(gpu, "serial"); }
int nvmlDeviceGetVbiosVersion(Gpu *gpu, char *text, uint size) { snprintf(text, size, "96.00.99.00.01"); return enter(gpu, "vbios"); }
int nvmlDeviceGetGspFirmwareVersion(Gpu *gpu, char *text) { strcpy(text, "580.82.05"); return enter(gpu, "gsp"); }
int nvmlDeviceGetGspFirmwareMode(Gpu *gpu, uint *enabled, uint *by_default) { *enabled = of(gpu, "gsp_mode", 1); *by_default = 1; return enter(gpu, "gsp"); }
int nvmlDeviceGetArchitecture(Gpu *gpu, uint *architecture) { *architecture = profile()->architecture; return enter(gpu, "architecture"); }

/* ---- readings of one number ---- */
#define NUMBER(name, key, otherwise, supported) \
    int name(Gpu *gpu, uint *value) { *value = of(gpu, key, otherwise); int code = enter(gpu, key); return code ? code : (supported) ? OK : NOT_SUPPORTED; }
#define NUMBER_OF(name, key, otherwise) \
    int name(Gpu *gpu, uint what, uint *value) { (void)what; *value = of(gpu, key, otherwise); return enter(gpu, key); }
NUMBER(nvmlDeviceGetPowerUsage, "power", profile()->power_limit_w * 600, 1)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_limit", profile()->power_limit_w * 1000, 1)
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, "power_default", profile()->power_limit_w * 1000, 1)
NUMBER(nvmlDeviceGetPcieReplayCounter, "replays", 0, 1)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "generation", profile()->pcie_generation, 1)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "generation_max", profile()->pcie_generation, 1)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "width", 16, 1)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "width_max", 16, 1)
NUMBER(nvmlDeviceGetPersistenceMode, "persistence", 1, 1)
NUMBER(nvmlDeviceGetComputeMode, "compute_mode", 0, 1)
NUMBER(nvmlDeviceGetVirtualizationMode, "virtualization", 0, 1)
NUMBER(nvmlDeviceGetFanSpeed, "fan", 0, of(gpu, "fan", -1) >= 0)
NUMBER_OF(nvmlDeviceGetClockInfo, what == 2 ? "memory_clock" : "clock", what == 2 ? profile()->memory_clock_mhz : profile()->sm_clock_mhz)
NUMBER_OF(nvmlDeviceGetMaxClockInfo, "clock_max", profile()->sm_clock_max_mhz)
int nvmlDeviceGetTemperatureV(Gpu *gpu, Temperature *reading) { reading->temperature = of(gpu, "temperature", 54); return enter(gpu, "temperature"); }
int nvmlDeviceGetTemperatureThreshold(Gpu *gpu, uint which, uint *value) {
    static const char *keys[] = {"shutdown", "slowdown", "memory_max", "gpu_max"};
    static const int degrees[] = {95, 90, 95, 87};
    if (which > 3) return INVALID;
    *value = of(gpu, keys[which], degrees[which]);
    return enter(gpu, "threshold");
}
int nvmlDeviceGetMarginTemperature(Gpu *gpu, Margin *reading) {
    reading->margin = of(gpu, "slowdown", 90) - of(gpu, "temperature", 54);
    int code = enter(gpu, "margin");
    return code ? code : profile()->margin ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetCurrentClocksEventReasons(Gpu *gpu, ull *reasons) { *reasons = of(gpu, "reasons", 0); return enter(gpu, "reasons"); }
int nvmlDeviceGetUtilizationRates(Gpu *gpu, uint *rates) {
    rates[0] = of(gpu, "utilization", 97);
    rates[1] = of(gpu, "memory_utilization", 40);
    int code = enter(gpu, "utilization");
    return code ? code : of(gpu, "mig", 0) ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetEncoderUtilization(Gpu *gpu, uint *percent, uint *period) { *percent = of(gpu, "encoder", 0); *period = 167000; return enter(gpu, "encoder"); }
int nvmlDeviceGetDecoderUtilization(Gpu *gpu, uint *percent, uint *period) { *percent = of(gpu, "decoder", 0); *period = 167000; return enter(gpu, "decoder"); }
int nvmlDeviceGetMemoryInfo_v2(Gpu *gpu, Memory2 *memory) {
    ull total = gpu->parent ? 10ull << 30 : (ull)profile()->memory_gib << 30;
    memory->total = total;
    memory->reserved = 600ull << 20;
    memory->used = (ull)of(gpu, "memory_used_mib", gpu->parent ? 2048 : 40960) << 20;
    memory->free = total - memory->reserved - memory->used;
    return enter(gpu, "memory");
}
int nvmlDeviceGetBAR1MemoryInfo(Gpu *gpu, ull *memory) { memory[0] = 128ull << 30; memory[2] = 5ull << 20; memory[1] = memory[0] - memory[2]; return enter(gpu, "bar1"); }
int nvmlDeviceGetComputeRunningProcesses_v3(Gpu *gpu, uint *count, Process *processes) {
    uint room = *count, there = of(gpu, "processes", 1);
    int code = enter(gpu, "processes");
    *count = there;
    if (code || there == 0) return code;
    if (room < there) return SMALL;
    for (uint i = 0; i < there; i++) processes[i] = (Process){.pid = 4242 + i, .used = 4096ull << 20, .gi = -1, .ci = -1};
    return OK;
}

/* ---- memory health, modes ---- */
int nvmlDeviceGetEccMode(Gpu *gpu, uint *current, uint *pending) { *current = of(gpu, "ecc_mode", 1); *pending = of(gpu, "ecc_pending", *current); return enter(gpu, "ecc"); }
int nvmlDeviceGetMigMode(Gpu *gpu, uint *current, uint *pending) { *current = of(gpu, "mig", 0); *pending = of(gpu, "mig_pending", *current); return enter(gpu, "mig"); }
int nvmlDeviceGetMaxMigDeviceCount(Gpu *gpu, uint *count) { *count = of(gpu, "mig", 0) ? 7 : 0; return enter(gpu, "mig"); }
int nvmlDeviceGetMigDeviceHandleByIndex(Gpu *gpu, uint index, Gpu **instance) {
    if (!of(gpu, "mig", 0) || index >= (uint)of(gpu, "mig_instances", 0) || index >= INSTANCES) return NOT_FOUND;
    *instance = &instances[gpu->number][index];
    **instance = (Gpu){.number = gpu->number, .instance = index, .parent = gpu};
    return OK;
}
int nvmlDeviceGetMemoryErrorCounter(Gpu *gpu, uint kind, uint counter, uint where, ull *count) {
    char key[KEY_BYTES];
    if (where != 2 && where != 7) return NOT_SUPPORTED;
    snprintf(key, sizeof key, "%s.%s%s", kind ? "uncorrected" : "corrected", where == 2 ? "dram" : "sram", counter ? ".total" : "");
    *count = of(gpu, key, 0);
    int code = enter(gpu, "ecc");
    return code ? code : of(gpu, "mig", 0) && !counter ? NOT_SUPPORTED : OK;
}
static ull ecc_total(const Gpu *gpu, int uncorrected, int aggregate) {
    char key[KEY_BYTES];
    const char *kind = uncorrected ? "uncorrected" : "corrected", *end = aggregate ? ".total" : "";
    ull sum = 0;
    for (int sram = 0; sram < 2; sram++) {
        snprintf(key, sizeof key, "%s.%s%s", kind, sram ? "sram" : "dram", end);
        sum += grown(gpu, key, 0);
    }
    return sum;
}
int nvmlDeviceGetSramEccErrorStatus(Gpu *gpu, Sram *sram) {
    uint version = sram->version;
    memset(sram, 0, sizeof *sram);
    *sram = (Sram){.version = version, .vol_secded = of(gpu, "uncorrected.sram", 0), .vol_cor = of(gpu, "corrected.sram", 0),
                   .agg_secded = of(gpu, "uncorrected.sram.total", 0), .l2 = of(gpu, "uncorrected.sram.total", 0),
                   .exceeded = of(gpu, "sram_exceeded", 0)};
    return enter(gpu, "sram");
}
int nvmlDeviceGetRowRemapperHistogram(Gpu *gpu, uint *banks) {
    banks[0] = 640 - of(gpu, "banks_low", 0) - of(gpu, "banks_none", 0);
    banks[1] = banks[2] = 0;
    banks[3] = of(gpu, "banks_low", 0);
    banks[4] = of(gpu, "banks_none", 0);
    return enter(gpu, "histogram");
}
int nvmlDeviceGetRepairStatus(Gpu *gpu, Repair *repair) {
    repair->channel = of(gpu, "repair_channel", 0);
    repair->tpc = of(gpu, "repair_tpc", 0);
    int code = enter(gpu, "repair");
    return code ? code : profile()->repair ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetGpuFabricInfoV(Gpu *gpu, Fabric *fabric) {
    fabric->state = of(gpu, "fabric_state", 3);
    fabric->status = of(gpu, "fabric_status", 0);
    fabric->mask = of(gpu, "fabric_mask", 0x2AA);
    fabric->summary = of(gpu, "fabric_summary", 1);
    int code = enter(gpu, "fabric");
    return code ? code : profile()->fabric ? OK : NOT_SUPPORTED;
}

/* ---- fields ---- */
static int link_state(const Gpu *gpu, int link) {
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "link%d", link);
    return of(gpu, key, link < of(gpu, "links", profile()->links));
}
static ull link_count(const Gpu *gpu, int link, const char *what) {
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "link%d.%s", link, what);
    return of(gpu, key, 0);
}
static int link_field(const Gpu *gpu, Field *field) {
    int link = (int)field->scope, old = profile()->link_counters_old, fresh = profile()->link_counters_new;
    if (link == ALL_LINKS || link >= (int)profile()->links) return INVALID;
    switch (field->field) {
    case 164: field->value.l = link_state(gpu, link) ? 26562 : 0; return OK;
    case 165: field->value.l = link_state(gpu, link); return OK;
    case 161: field->value.l = link_count(gpu, link, "replay"); return old ? OK : NOT_SUPPORTED;
    case 162: field->value.l = link_count(gpu, link, "recovery"); return old ? OK : NOT_SUPPORTED;
    case 163: field->value.l = link_count(gpu, link, "crc"); return old ? OK : NOT_SUPPORTED;
    case 208: field->value.l = link_count(gpu, link, "receive"); return fresh ? OK : NOT_SUPPORTED;
    case 214: field->value.l = link_count(gpu, link, "failed"); return fresh ? OK : NOT_SUPPORTED;
    case 215: field->value.l = link_count(gpu, link, "recovery"); return fresh ? OK : NOT_SUPPORTED;
    case 219: field->value.l = link_count(gpu, link, "effective"); return fresh ? OK : NOT_SUPPORTED;
    case 222: field->value.l = of(gpu, "symbol_ber", 0x0FF); return fresh ? OK : NOT_SUPPORTED;
    case 202: case 204: field->value.l = grown(gpu, "link_bytes", 9000000000ull / profile()->links); return fresh ? OK : NOT_SUPPORTED;
    default: return NOT_SUPPORTED;
    }
}
static int plain_field(const Gpu *gpu, Field *field) {
    const Profile *board = profile();
    int mig = !!of(gpu, "mig", 0);
    switch (field->field) {
    case 3: case 4: field->value.l = ecc_total(gpu, field->field == 4, 0); return mig ? NOT_SUPPORTED : OK;
    case 5: case 6: field->value.l = ecc_total(gpu, field->field == 6, 1); return OK;
    case 74: field->value.l = grown(gpu, "capped_ns", 0); return OK;
    case 76: field->value.l = 0; return OK;
    case 82: field->value.l = of(gpu, "memory_temperature", 61); field->type = 1; return OK;
    case 83: field->value.l = grown(gpu, "energy", board->power_limit_w * 600); return OK;
    case 91: field->value.l = board->links; field->type = 1; return OK;
    case 94: field->value.l = of(gpu, "replays", 0); field->type = 1; return OK;
    case 138: case 139: field->value.l = grown(gpu, "nvlink_kib", 9000000); return board->link_counters_old ? OK : NOT_SUPPORTED;
    case 142: field->value.l = of(gpu, "remapped_corrected", 0); field->type = 1; return mig ? NOT_SUPPORTED : OK;
    case 143: field->value.l = of(gpu, "remapped", 0); field->type = 1; return mig ? NOT_SUPPORTED : OK;
    case 144: field->value.l = of(gpu, "pending", 0); field->type = 1; return mig ? NOT_SUPPORTED : OK;
    case 145: field->value.l = of(gpu, "remap_failed", 0); field->type = 1; return mig ? NOT_SUPPORTED : OK;
    case 173: case 175: case 179: case 180: {
        char key[KEY_BYTES];
        snprintf(key, sizeof key, "pcie%u", field->field);
        field->value.l = of(gpu, key, 0);
        return board->pcie_bytes ? OK : NOT_SUPPORTED;
    }
    case 197: case 198: field->value.l = grown(gpu, "pcie_bytes", 2000000000); return board->pcie_bytes ? OK : NOT_SUPPORTED;
    case 230: field->value.l = of(gpu, "recovery", 0); field->type = 1; return OK;
    case 269: field->value.l = grown(gpu, "sw_thermal_ns", 0); return board->thermal_time ? OK : NOT_SUPPORTED;
    case 270: field->value.l = grown(gpu, "hw_thermal_ns", 0); return board->thermal_time ? OK : NOT_SUPPORTED;
    case 271: field->value.l = grown(gpu, "brake_ns", 0); return board->thermal_time ? OK : NOT_SUPPORTED;
    default: return NOT_SUPPORTED;
    }
}
int nvmlDeviceGetFieldValues(Gpu *gpu, int count, Field *fields) {
    int code = enter(gpu, "fields");
    for (int i = 0; i < count && !code; i++) {
        char key[KEY_BYTES];
        snprintf(key, sizeof key, "no.field%u", fields[i].field);
        fields[i].type = 3; /* unsigned long long */
        int of_link = fields[i].field >= 161 && fields[i].field <= 168;
        of_link = of_link || (fields[i].field >= 201 && fields[i].field <= 222);
        fields[i].result = of(gpu, key, 0) ? NOT_SUPPORTED : of_link ? link_field(gpu, &fields[i]) : plain_field(gpu, &fields[i]);
    }
    return code;
}

/* ---- activity counters (GPM) ---- */
int nvmlGpmQueryDeviceSupport(Gpu *gpu, uint *support) { support[1] = profile()->gpm; return enter(gpu, "gpm"); }
int nvmlGpmSampleAlloc(void **sample) { *sample = malloc(16); return OK; }
int nvmlGpmSampleFree(void *sample) { free(sample); return OK; }
int nvmlGpmSampleGet(Gpu *gpu, void *sample) { *(Gpu **)sample = gpu; return enter(gpu, "gpm"); }
int nvmlGpmMetricsGet(Metrics *metrics) {
    const Gpu *gpu = *(Gpu **)metrics->second;
    for (uint i = 0; i < metrics->count; i++) {
        char key[KEY_BYTES];
        snprintf(key, sizeof key, "gpm%u", metrics->metrics[i].id);
        metrics->metrics[i].value = of(gpu, key, 50);
        metrics->metrics[i].result = OK;
    }
    return OK;
}

/* ---- what only other tools ask ---- */
#define PLAIN(name, type, expression) int name(Gpu *gpu, type *value) { *value = (expression); return enter(gpu, "plain"); }
PLAIN(nvmlDeviceGetIndex, uint, gpu->number)
PLAIN(nvmlDeviceGetMinorNumber, uint, gpu->number)
PLAIN(nvmlDeviceGetDisplayActive, uint, 0)
PLAIN(nvmlDeviceGetDisplayMode, uint, 0)
PLAIN(nvmlDeviceGetPerformanceState, uint, 0)
PLAIN(nvmlDeviceGetTotalEnergyConsumption, ull, grown(gpu, "energy", profile()->power_limit_w * 600))
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13000; return OK; }
int nvmlDeviceGetCudaComputeCapability(Gpu *gpu, int *major, int *minor) { *major = profile()->architecture; *minor = 0; return enter(gpu, "plain"); }
int nvmlDeviceGetTemperature(Gpu *gpu, uint sensor, uint *value) { (void)sensor; *value = of(gpu, "temperature", 54); return enter(gpu, "temperature"); }
int nvmlDeviceGetMemoryInfo(Gpu *gpu, ull *memory) {
    Memory2 now;
    int code = nvmlDeviceGetMemoryInfo_v2(gpu, &now);
    memory[0] = now.total; memory[1] = now.free; memory[2] = now.used + now.reserved;
    return code;
}
int nvmlDeviceGetTotalEccErrors(Gpu *gpu, uint kind, uint counter, ull *count) { *count = ecc_total(gpu, kind, counter); return enter(gpu, "ecc"); }
int nvmlDeviceGetPcieThroughput(Gpu *gpu, uint way, uint *value) { (void)way; *value = 2000000; usleep(20000); return enter(gpu, "throughput"); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(Gpu *gpu, uint *count, Process *processes) { (void)processes; *count = 0; return enter(gpu, "processes"); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(Gpu *gpu, uint *count, Process *processes) { (void)processes; *count = 0; return enter(gpu, "processes"); }
int nvmlDeviceGetProcessUtilization(Gpu *gpu, void *samples, uint *count, ull since) { (void)samples; (void)since; *count = 0; int code = enter(gpu, "processes"); return code ? code : NOT_FOUND; }
int nvmlDeviceGetDriverModel_v2(Gpu *gpu, uint *current, uint *pending) { (void)gpu; (void)current; (void)pending; return NOT_SUPPORTED; }
int nvmlDeviceGetDriverModel(Gpu *gpu, uint *current, uint *pending) { (void)gpu; (void)current; (void)pending; return NOT_SUPPORTED; }
int nvmlDeviceGetHandleByUUID(const char *uuid, Gpu **gpu) {
    for (int i = 0; i < listed_count; i++) {
        char own[96];
        snprintf(own, sizeof own, "GPU-%08d-0000-0000-0000-000000000000", listed[i]);
        if (!strcmp(own, uuid)) { *gpu = &gpus[listed[i]]; return OK; }
    }
    return NOT_FOUND;
}

int nvmlDeviceResetGpuLockedClocks(Gpu *gpu) { return enter(gpu, "reset_clocks"); }

/* ---- events: "xid.<n>" is gpu * 100000 + code, for n from 1 to "xid.count" ---- */
int nvmlEventSetCreate(void **set) { *set = gpus; return any("no.events", 0) ? NOT_SUPPORTED : OK; }
int nvmlEventSetFree(void *set) { (void)set; return OK; }
int nvmlDeviceGetSupportedEventTypes(Gpu *gpu, ull *types) { *types = 0xE008; return enter(gpu, "events"); }
int nvmlDeviceRegisterEvents(Gpu *gpu, ull types, void *set) { (void)set; return types & ~0xE008ull ? NOT_SUPPORTED : enter(gpu, "events"); }
static int next_xid(Event *event) {
    char key[KEY_BYTES];
    if (any("xid.count", 0) <= seen_xids) return 0;
    snprintf(key, sizeof key, "xid.%lld", ++seen_xids);
    long long xid = any(key, 0);
    *event = (Event){.device = &gpus[xid / 100000], .type = 8, .data = xid % 100000, .gi = -1, .ci = -1};
    return 1;
}
int nvmlEventSetWait_v2(void *set, Event *event, uint timeout_ms) {
    (void)set;
    char folder[256] = ".";
    snprintf(folder, sizeof folder, "%s", getenv("NVML_STATE"));
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    int watch = inotify_init1(IN_CLOEXEC);
    inotify_add_watch(watch, folder, IN_MOVED_TO | IN_CLOSE_WRITE);
    long long until_ns = now_ns() + timeout_ms * 1000000ll;
    int code = TIMEOUT;
    while (code == TIMEOUT && !any("unloaded", 0)) {
        if (next_xid(event)) { code = OK; break; }
        long long left_ms = (until_ns - now_ns()) / 1000000;
        if (left_ms <= 0) break;
        struct pollfd waiting = {.fd = watch, .events = POLLIN};
        char dropped[4096];
        if (poll(&waiting, 1, left_ms) > 0 && read(watch, dropped, sizeof dropped) < 0) break;
        usleep(LOOK_NS / 1000 + 1000);
    }
    close(watch);
    return any("unloaded", 0) || any("reloads", 0) != session_reloads ? UNINITIALIZED : code;
}
