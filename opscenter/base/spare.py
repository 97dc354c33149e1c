"""How much of this machine's processors nobody wants, or only who has made himself nice."""

import psutil


class Spare:
    """Looks at what the kernel has counted since it was looked at last."""

    def __init__(self) -> None:
        self._times = psutil.cpu_times()

    def since_last(self) -> float:
        """Processors that were idle, or used by nice work alone: between 0 and their number. All of them where too little
        time has passed to say."""
        before, self._times = self._times, psutil.cpu_times()
        # guests' time is in the users', too
        spent = {name: getattr(self._times, name) - getattr(before, name) for name in before._fields}
        passed = sum(seconds for name, seconds in spent.items() if not name.startswith("guest"))
        free = spent["idle"] + spent.get("iowait", 0.0) + spent.get("nice", 0.0)
        count = psutil.cpu_count() or 1
        return count * free / passed if passed > 0 else float(count)
