"""The daily pipeline of the demo's tenant B: what its nodes are, and what each of them prints.

The scripts make their figures from the business date alone, so that the logs of the two weeks before (``past_log``)
tell the same figures as a run of the real script would; a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from opscenter.production.models import TaskInstance

WORKFLOW = "retail_daily"
_SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Step:
    """A node of the pipeline.

    Attributes:
        at: cron, six fields.
        after: names of the nodes it waits for; none = the workspace's root.
        seconds: shortest and longest duration of its runs in the past.
        parameters: name -> expression.
    """

    name: str
    description: str
    at: str
    after: tuple[str, ...] = ()
    seconds: tuple[int, int] = (0, 0)
    parameters: tuple[tuple[str, str], ...] = (("bizdate", "$bizdate"),)
    is_virtual: bool = False

    @property
    def script(self) -> str:
        """Its shell script; empty for a zero-load node."""
        return "" if self.is_virtual else (_SCRIPTS / f"{self.name}.sh").read_text(encoding="utf-8")


STEPS = (
    Step("retail_start", "Start of the daily pipeline", "00 10 00 * * ?", is_virtual=True, parameters=()),
    Step("ingest_orders", "Orders from the shop's export", "00 20 00 * * ?", ("retail_start",), (140, 320)),
    Step("ingest_customers", "Customers that changed", "00 25 00 * * ?", ("retail_start",), (60, 150)),
    Step("clean_orders", "Each order once", "00 00 01 * * ?", ("ingest_orders",), (90, 210)),
    Step("dim_customer", "The customer table", "00 15 01 * * ?", ("ingest_customers",), (120, 260)),
    Step("fact_sales", "Sales of the day", "00 45 01 * * ?", ("clean_orders", "dim_customer"), (300, 900)),
    Step("quality_check", "Stops the report when sales cannot be right", "00 15 02 * * ?", ("fact_sales",), (30, 80)),
    Step("publish_report", "The day's report", "00 00 03 * * ?", ("quality_check",), (20, 60)),
    Step(
        "store_events",
        "Events of the stores, every hour while they are open",
        "00 05 09-21/1 * * ?",
        seconds=(8, 40),
        parameters=(("hour", "$[yyyymmddhh24-1/24]"),),
    ),
)


@dataclass(frozen=True)
class Mishap:
    """A failure in the past.

    Attributes:
        days_ago: how many days before today it was scheduled.
        seconds: how long it ran.
        repaired_after: when somebody reran it; None: nobody did.
    """

    step: str
    days_ago: int
    exit_code: int
    seconds: int
    log: str
    repaired_after: timedelta | None


MISHAPS = (
    Mishap(
        "ingest_orders",
        days_ago=5,
        exit_code=28,
        seconds=163,
        log="Orders of {bizdate}: {orders} in the shop's export\n"
        "page 1 of 4: {page} of {orders} orders read\n"
        "page 2 of 4: no answer from the shop's export after 120 s\n",
        repaired_after=timedelta(hours=7, minutes=48),
    ),
    Mishap(
        "quality_check",
        days_ago=1,
        exit_code=1,
        seconds=52,
        log="FAIL  orders without a customer: 12, at most 0 allowed\n"
        "ok    orders without an amount: 0\n"
        "ok    orders of the day: {orders}\n"
        "1 of 3 checks failed\n",
        repaired_after=None,
    ),
)


def orders_of(day: int) -> int:
    """How many orders the shop had on a business date, given as the number yyyymmdd."""
    return 3800 + day * 7919 % 1200


def _customers(day: int) -> int:
    return 900 + day * 104729 % 300


def past_log(name: str, values: Mapping[str, str]) -> str:
    """What a node's script prints for these values of its parameters."""
    if name == "store_events":
        hour = values["hour"]
        return f"Events of the hour {hour}: {120 + int(hour) * 31 % 400}\n"
    bizdate = values["bizdate"]
    day = int(bizdate)
    orders, customers, twice = orders_of(day), _customers(day), day % 40 + 5
    cents = sum((number * 37 + day) % 9000 + 100 for number in range(1, orders + 1))
    pages = "".join(f"page {page} of 4: {orders * page // 4} of {orders} orders read\n" for page in (1, 2, 3, 4))
    return {
        "ingest_orders": f"Orders of {bizdate}: {orders} in the shop's export\n{pages}orders.csv written\n",
        "ingest_customers": f"Customers changed on {bizdate}: {customers}\ncustomers.csv written\n",
        "clean_orders": f"Removing duplicates from {orders + twice} lines\n"
        f"{twice} duplicates removed, {orders} orders left\n",
        "dim_customer": f"Merging {customers} changed customers\n"
        f"dim_customer: {customers // 5} new, {customers - customers // 5} updated\n",
        "fact_sales": f"Adding up {orders} orders of {bizdate}\n"
        f"fact_sales: {orders} rows, revenue {cents // 100}.{cents % 100:02}\n",
        "quality_check": "ok    orders without a customer: 0\nok    orders without an amount: 0\n"
        f"ok    orders of the day: {orders}\nAll checks passed\n",
        "publish_report": f"Sales of {bizdate}\n  orders  {orders}\nReport published\n",
    }[name]


def mishap_log(mishap: Mishap, bizdate: str) -> str:
    """What the failed run printed."""
    orders = orders_of(int(bizdate))
    return mishap.log.format(bizdate=bizdate, orders=orders, page=orders // 4)


def mishap_of(instance: TaskInstance, days_ago: int) -> Mishap | None:
    """The failure that this instance of so many days ago had."""
    return next((one for one in MISHAPS if one.step == instance.task.name and one.days_ago == days_ago), None)
