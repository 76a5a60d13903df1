/* What boards have and which readings they support, by architecture.
 * Limits follow the public data sheets of A100 SXM4 80 GB, H100 SXM5 and B200 SXM6; support follows the
 * remarks in nvml.h (NVML API 13). */
typedef struct {
    const char *name;
    unsigned architecture, memory_gib, power_limit_w, sm_clock_mhz, sm_clock_max_mhz, memory_clock_mhz;
    unsigned links, link_generation, pcie_generation;
    int margin, gpm, fabric, repair, unrepairable, link_counters_old, link_counters_new, pcie_bytes, thermal_time;
} Profile;

static const Profile profiles[] = {
    {.name = "NVIDIA H100 80GB HBM3", .architecture = 9, .memory_gib = 80, .power_limit_w = 700, .sm_clock_mhz = 1755,
     .sm_clock_max_mhz = 1980, .memory_clock_mhz = 2619, .links = 18, .link_generation = 4, .pcie_generation = 5,
     .margin = 1, .gpm = 1, .fabric = 1, .repair = 1, .unrepairable = 1, .link_counters_old = 1, .pcie_bytes = 1, .thermal_time = 1},
    {.name = "NVIDIA A100-SXM4-80GB", .architecture = 7, .memory_gib = 80, .power_limit_w = 400, .sm_clock_mhz = 1275,
     .sm_clock_max_mhz = 1410, .memory_clock_mhz = 1593, .links = 12, .link_generation = 3, .pcie_generation = 4,
     .link_counters_old = 1, .thermal_time = 1},
    {.name = "NVIDIA B200", .architecture = 10, .memory_gib = 180, .power_limit_w = 1000, .sm_clock_mhz = 1830,
     .sm_clock_max_mhz = 1965, .memory_clock_mhz = 3996, .links = 18, .link_generation = 5, .pcie_generation = 5,
     .margin = 1, .gpm = 1, .fabric = 1, .repair = 1, .unrepairable = 1, .link_counters_new = 1, .pcie_bytes = 1, .thermal_time = 1},
};

static const Profile *profile(void) {
    long long number = setting(-1, "profile", 0);
    return &profiles[number >= 0 && number < 3 ? number : 0];
}
