"""One name for a GPU reading, whatever tool printed it: nvidia-smi XML, its text, or an exporter."""

from __future__ import annotations

import re
from typing import Final

# Path of a value (tags or headings, lower case, joined by /) -> name of the reading.
_PATHS: Final[tuple[tuple[str, str], ...]] = (
    (r"(?:pcie_gen(?:eration)?)/(?:current_link_gen|current|device_current)$", "pcie_gen"),
    (r"(?:pcie_gen(?:eration)?)/(?:max_link_gen|max)$", "pcie_gen_max"),
    (r"(?:link_widths?|link_width)/(?:current_link_width|current)$", "pcie_width"),
    (r"(?:link_widths?|link_width)/(?:max_link_width|max)$", "pcie_width_max"),
    (r"(?:^|/)replay_counter$|replays_since_reset$", "pcie_replays_total"),
    (r"reasons?/(?:.*_)?(?:gpu_)?idle$", "reason_idle"),
    (r"reasons?/(?:.*_)?sw_power_cap(?:ping)?$", "reason_sw_power_cap"),
    (r"reasons?/(?:.*_)?hw_thermal_slowdown$", "reason_hw_thermal"),
    (r"reasons?/(?:.*_)?sw_thermal_slowdown$", "reason_sw_thermal"),
    (r"reasons?/(?:.*_)?hw_power_brake(?:_slowdown)?$", "reason_power_brake"),
    (r"reasons?/(?:.*_)?hw_slowdown$", "reason_hw_slowdown"),
    (
        r"volatile/(?:.*/)?(?:sram_|dram_)?(?:uncorrectable(?:_parity|_sec-ded)?|uncorrected)$",
        "ecc_unc_volatile",
    ),
    (r"volatile/.*double_bit/(?:total|device_memory)$", "ecc_unc_volatile"),
    (r"aggregate/(?:.*/)?(?:sram_|dram_)?(?:uncorrectable(?:_parity|_sec-ded)?)$", "ecc_unc_aggregate"),
    (r"volatile/(?:.*/)?(?:sram_|dram_)?correctable$", "ecc_corr_volatile"),
    (r"threshold_exceeded$", "sram_threshold_exceeded"),
    (r"remapped_rows/(?:remapped_row_)?pending$", "remap_pending"),
    (r"remapped_rows/(?:remapped_row_)?(?:remapping_)?failure(?:_occurred)?$", "remap_failure"),
    (r"remapped_rows/(?:remapped_row_unc|uncorrectable_error|uncorrectable)$", "remap_unc"),
    (r"remapped_rows/(?:remapped_row_corr|correctable_error|correctable)$", "remap_corr"),
    (r"pending_(?:retirement|blacklist|page_blacklist)$|pending_page_blacklist$", "retire_pending"),
    (r"temperature/(?:gpu_temp|gpu_current_temp)$", "temp_c"),
    (r"temperature/(?:gpu_temp_slow_threshold|gpu_slowdown_temp)$", "temp_slowdown_c"),
    (r"temperature/(?:gpu_temp_tlimit|gpu_t\.limit_temp)$", "temp_margin_c"),
    (r"power_readings/(?:power_draw|instant_power_draw|average_power_draw)$", "power_watts"),
    (r"power_readings/(?:current_power_limit|power_limit)$", "power_limit_watts"),
    (r"power_readings/default_power_limit$", "power_default_watts"),
    (r"utilization/(?:gpu_util|gpu)$", "util_percent"),
    (r"(?:^|/)performance_state$", "pstate"),
    (r"fabric/state$", "fabric_state"),
    (r"fabric/status$", "fabric_status"),
    (r"(?:^|/)(?:gpu_)?recovery_action$", "recovery_action"),
    (r"(?:^|/)attached_gpus$", "attached"),
    (r"ecc_mode/(?:current_ecc|current)$", "ecc_mode"),
    (r"(?:gpu_reset_status|reset_status)/(?:reset_required|drain_and_reset_recommended)$", "reset_required"),
)
_COMPILED: Final = tuple((re.compile(path), name) for path, name in _PATHS)

# Names of exporters -> name of the reading. Units that differ are converted by the reader.
METRICS: Final[dict[str, str]] = {
    "nvidia_smi_pcie_link_gen_current": "pcie_gen",
    "nvidia_smi_pcie_link_gen_max": "pcie_gen_max",
    "nvidia_smi_pcie_link_width_current": "pcie_width",
    "nvidia_smi_pcie_link_width_max": "pcie_width_max",
    "nvidia_smi_clocks_event_reasons_gpu_idle": "reason_idle",
    "nvidia_smi_clocks_event_reasons_sw_power_cap": "reason_sw_power_cap",
    "nvidia_smi_clocks_event_reasons_hw_thermal_slowdown": "reason_hw_thermal",
    "nvidia_smi_clocks_event_reasons_sw_thermal_slowdown": "reason_sw_thermal",
    "nvidia_smi_clocks_event_reasons_hw_power_brake_slowdown": "reason_power_brake",
    "nvidia_smi_clocks_event_reasons_hw_slowdown": "reason_hw_slowdown",
    "nvidia_smi_clocks_throttle_reasons_hw_thermal_slowdown": "reason_hw_thermal",
    "nvidia_smi_clocks_throttle_reasons_sw_thermal_slowdown": "reason_sw_thermal",
    "nvidia_smi_clocks_throttle_reasons_hw_power_brake_slowdown": "reason_power_brake",
    "nvidia_smi_ecc_errors_uncorrected_volatile_total": "ecc_unc_volatile",
    "nvidia_smi_ecc_errors_uncorrected_aggregate_total": "ecc_unc_aggregate",
    "nvidia_smi_ecc_errors_uncorrected_aggregate_sram_threshold_exceeded": "sram_threshold_exceeded",
    "nvidia_smi_remapped_rows_pending": "remap_pending",
    "nvidia_smi_remapped_rows_failure": "remap_failure",
    "nvidia_smi_remapped_rows_uncorrectable": "remap_unc",
    "nvidia_smi_temperature_gpu": "temp_c",
    "nvidia_smi_temperature_gpu_tlimit": "temp_margin_c",
    "nvidia_smi_power_draw_watts": "power_watts",
    "nvidia_smi_power_limit_watts": "power_limit_watts",
    "nvidia_smi_power_default_limit_watts": "power_default_watts",
    "nvidia_smi_utilization_gpu_ratio": "util_ratio",
    "nvidia_smi_fabric_state": "fabric_state_code",
    "nvidia_smi_gpu_recovery_action": "recovery_action_code",
    "nvidia_smi_gpu_info": "info",
    "DCGM_FI_DEV_GPU_TEMP": "temp_c",
    "DCGM_FI_DEV_GPU_UTIL": "util_percent",
    "DCGM_FI_DEV_POWER_USAGE": "power_watts",
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": "ecc_unc_volatile",
    "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL": "ecc_unc_aggregate",
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": "remap_unc",
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": "remap_failure",
    "DCGM_FI_DEV_ROW_REMAP_PENDING": "remap_pending",
    "DCGM_FI_DEV_RETIRED_PENDING": "retire_pending",
    "DCGM_FI_DEV_XID_ERRORS": "xid",
    "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS": "reasons_mask",
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": "reasons_mask",
    "DCGM_EXP_XID_ERRORS_COUNT": "xid_count",
    "DCGM_FI_DEV_FABRIC_MANAGER_STATUS": "fabric_state_code",
    "XPU_TIMER_COMMON_HANG": "rank_hang",
}


def of_path(path: str) -> str:
    """Return the name of the reading at a path of nvidia-smi, empty for one that nobody judges."""
    for shape, name in _COMPILED:
        if shape.search(path):
            return name
    return ""


_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


def number(text: str) -> float:
    """Return the number at the head of a value with its unit, NaN when there is none."""
    found = _NUMBER.match(text.strip())
    return float(found[0]) if found else float("nan")
