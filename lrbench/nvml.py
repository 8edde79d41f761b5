"""What NVIDIA's management library knows of a GPU: name, driver, clocks, throttling, energy. No torch, no CUDA context.

Without a GPU or a driver every function answers with nothing, which the row shows as null.
"""

import os
from functools import cache

import pynvml  # the module of the package nvidia-ml-py

_REASONS = {
    "gpu_idle": "nvmlClocksEventReasonGpuIdle",
    "applications_clocks_setting": "nvmlClocksEventReasonApplicationsClocksSetting",
    "sw_power_cap": "nvmlClocksEventReasonSwPowerCap",
    "hw_slowdown": "nvmlClocksThrottleReasonHwSlowdown",
    "sync_boost": "nvmlClocksEventReasonSyncBoost",
    "sw_thermal_slowdown": "nvmlClocksEventReasonSwThermalSlowdown",
    "hw_thermal_slowdown": "nvmlClocksThrottleReasonHwThermalSlowdown",
    "hw_power_brake_slowdown": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
}


@cache
def _started() -> bool:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver, no library: a machine without a GPU
        return False
    return True


def visible_gpus() -> list[dict]:
    """Return the GPUs that this process may use: [{"id": what CUDA_VISIBLE_DEVICES takes, "name", "uuid"}].

    A GPU is named by its UUID: NVML numbers GPUs by their place on the bus and CUDA, by default, the fastest first.
    """
    if not _started():
        return []
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid = pynvml.nvmlDeviceGetUUID(handle)
        found.append({"id": uuid, "name": pynvml.nvmlDeviceGetName(handle), "uuid": uuid})
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    by_name = {**{str(index): gpu for index, gpu in enumerate(found)}, **{gpu["uuid"]: gpu for gpu in found}}
    kept = []
    for word in visible.split(","):  # CUDA stops at the first entry that names no device
        if word.strip() not in by_name:
            break
        kept.append({**by_name[word.strip()], "id": word.strip()})
    return kept


def driver_version() -> str | None:
    """Return the version of the NVIDIA driver, or None without one."""
    return pynvml.nvmlSystemGetDriverVersion() if _started() else None


class Gpu:
    """One GPU, found by its UUID. Each reading that this GPU or driver does not offer is None."""

    def __init__(self, uuid: str):
        self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")

    def _read(self, function, *arguments):
        try:
            return function(self._handle, *arguments)
        except pynvml.NVMLError:  # not offered here (in a virtual machine, say)
            return None

    def energy_joules(self) -> float | None:
        """Energy since the driver was loaded. The counter moves about every 20 to 100 ms."""
        millijoules = self._read(pynvml.nvmlDeviceGetTotalEnergyConsumption)
        return None if millijoules is None else millijoules / 1000

    def sm_clock_mhz(self) -> int | None:
        return self._read(pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_SM)

    def state(self) -> dict:
        """Return the gpu_ columns that are read after training."""
        bits = self._read(pynvml.nvmlDeviceGetCurrentClocksEventReasons)
        processes = self._read(pynvml.nvmlDeviceGetComputeRunningProcesses)
        reasons = None
        if bits is not None:
            names = [name for name, constant in _REASONS.items() if bits & getattr(pynvml, constant)]
            reasons = ", ".join(names) or "none"
        return {
            "gpu_sm_clock_end_mhz": self.sm_clock_mhz(),
            "gpu_memory_clock_mhz": self._read(pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_MEM),
            "gpu_temperature_celsius": self._read(pynvml.nvmlDeviceGetTemperature, pynvml.NVML_TEMPERATURE_GPU),
            "gpu_throttle_reasons": reasons,
            "gpu_other_processes": None if processes is None else sum(p.pid != os.getpid() for p in processes),
        }
