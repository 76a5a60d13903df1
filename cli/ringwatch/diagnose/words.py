"""What a diagnosis says, in English and Chinese. Holds words only."""

from __future__ import annotations

from typing import Final

WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "healthy": "No fault here: the readings are those of a healthy machine or job.",
        "benign": "No fault here: nothing in this evidence reports one.",
        "cannot_tell": "Cannot tell from this: nothing here is of a kind that shows faults.",
        "where": "where",
        "step": "first step",
        "runbook": "runbook",
        "evidence": "evidence",
        "explains": "follows from it",
        "ruled_out": "ruled out",
        "settle": "would settle it",
        "root": "root",
        "effect": "effect of something else",
        "mixed": "root and effects together",
        "read": "read",
        "refused": "not read",
        "also": "looks like a fault and is none",
        "confidence": "confidence",
    },
    "zh": {
        "healthy": "未见故障：读数正常。",
        "benign": "未见故障：这些证据没有报告故障。",
        "cannot_tell": "无法判断：这里没有能显示故障的证据。",
        "where": "位置",
        "step": "第一步",
        "runbook": "处置手册",
        "evidence": "证据",
        "explains": "由此引起",
        "ruled_out": "已排除",
        "settle": "还需证据",
        "root": "根因",
        "effect": "其他故障的后果",
        "mixed": "根因与后果并存",
        "read": "已读",
        "refused": "未读",
        "also": "看似故障，实为正常",
        "confidence": "置信度",
    },
}

ACTIONS_ZH: Final[dict[str, str]] = {
    "watch": "继续观察",
    "restart_app": "重启作业",
    "fix_app": "修改作业",
    "fix_config": "修改配置",
    "restart_service": "重启服务",
    "reset_gpu": "复位 GPU",
    "reboot_node": "重启节点",
    "drain_and_reset": "排空节点并复位",
    "drain_and_replace": "排空节点并更换部件",
    "check_nvlink": "检查 NVLink",
    "check_link": "检查链路",
    "check_pcie": "检查 PCIe",
    "check_power_cooling": "检查供电与散热",
    "free_resource": "释放资源",
    "update_driver": "更新驱动",
    "contact_vendor": "联系厂商",
    "more_evidence": "收集更多证据",
    "none": "无需处理",
}
