"""Who and what the story is about: two teams, eight people, eight services, and the files naming them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import yaml

ORGANIZATION = "tidewater"
ORGANIZATION_ID = 48_211_907
INSTALLATION_ID = 51_730_442
DEFAULT_BRANCH = "main"
QUORUM = 2
CONFIG_REPOSITORY = f"{ORGANIZATION}/deploys"

Platform = Literal["github", "argocd", "heroku", "report"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    key: str
    name: str
    github: str
    github_id: int
    slack: str
    pagerduty: str
    utc_offset_hours: int
    is_bot: bool = False

    @property
    def email(self) -> str:
        return f"{self.key}@tidewater.example.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    name: str
    slack_channel: str
    channel_id: str
    pagerduty_id: str
    members: tuple[Person, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """``topics`` are the words its changes are about. It is the only one in its repository, or lives in a ``folder``.

    ``platform`` deploys it: Argo CD what the configuration repository says, to each of ``regions`` in turn; ``report``
    is a script of its own. For ``sleeps_days`` after its first deployment nobody deploys it. Of one that is not
    ``busy`` only what its script says is told.
    """

    name: str
    team: Team
    repository: str
    repository_id: int
    language: str
    description: str
    pagerduty_id: str
    slack_channel: str
    channel_id: str
    topics: tuple[str, ...]
    symptoms: tuple[str, ...]
    platform: Platform = "github"
    regions: tuple[str, ...] = ()
    sleeps_days: int = 0
    busy: bool = True
    folder: str = ""

    @property
    def full_name(self) -> str:
        return f"{ORGANIZATION}/{self.repository}"


INES = Person(
    key="ines",
    name="Ines Okafor",
    github="inesok",
    github_id=20_184_431,
    slack="U06INESOKA",
    pagerduty="PINES01",
    utc_offset_hours=1,
)
TOMAS = Person(
    key="tomas",
    name="Tomas Lind",
    github="tlind",
    github_id=31_550_218,
    slack="U06TOMASLI",
    pagerduty="PTOMAS2",
    utc_offset_hours=2,
)
PRIYA = Person(
    key="priya",
    name="Priya Raman",
    github="priya-raman",
    github_id=44_902_117,
    slack="U06PRIYARA",
    pagerduty="PPRIYA3",
    utc_offset_hours=5,
)
MAREK = Person(
    key="marek",
    name="Marek Zielny",
    github="mzielny",
    github_id=12_009_764,
    slack="U06MAREKZI",
    pagerduty="PMAREK4",
    utc_offset_hours=2,
)
NOOR = Person(
    key="noor",
    name="Noor Haddad",
    github="noorh",
    github_id=58_330_905,
    slack="U06NOORHAD",
    pagerduty="PNOOR05",
    utc_offset_hours=3,
)
LEA = Person(
    key="lea",
    name="Léa Fontaine",
    github="lea-fontaine",
    github_id=27_718_340,
    slack="U06LEAFONT",
    pagerduty="PLEA006",
    utc_offset_hours=2,
)
KOFI = Person(
    key="kofi",
    name="Kofi Mensah",
    github="kmensah",
    github_id=63_105_582,
    slack="U06KOFIMEN",
    pagerduty="PKOFI07",
    utc_offset_hours=0,
)
YUKI = Person(
    key="yuki",
    name="Yuki Arai",
    github="yuki-arai",
    github_id=39_441_876,
    slack="U06YUKIARA",
    pagerduty="PYUKI08",
    utc_offset_hours=9,
)
PEOPLE = (INES, TOMAS, PRIYA, MAREK, NOOR, LEA, KOFI, YUKI)
RELEASERS = (INES, TOMAS, MAREK, LEA, KOFI)

ROBOT = Person(
    key="pierbot",
    name="pierbot[bot]",
    github="pierbot[bot]",
    github_id=99_120_033,
    slack="",
    pagerduty="",
    utc_offset_hours=0,
    is_bot=True,
)

PAYMENTS = Team(
    name="payments",
    slack_channel="#payments",
    channel_id="C06PAYMENT",
    pagerduty_id="PTPAYMT",
    members=(INES, TOMAS, PRIYA, MAREK),
)
DISCOVERY = Team(
    name="discovery",
    slack_channel="#discovery",
    channel_id="C06DISCOVR",
    pagerduty_id="PTDISCO",
    members=(NOOR, LEA, KOFI, YUKI),
)
TEAMS = (PAYMENTS, DISCOVERY)

CHECKOUT = Service(
    name="checkout",
    team=PAYMENTS,
    repository="checkout",
    repository_id=702_114_090,
    language="Go",
    description="Carts, promotions and the order form",
    pagerduty_id="PSCHKOT",
    slack_channel="#payments",
    channel_id="C06PAYMENT",
    topics=(
        "cart totals",
        "coupon stacking",
        "guest orders",
        "address form",
        "saved cards",
        "order limits",
        "gift notes",
        "tax lookup",
    ),
    symptoms=(
        "Order form answers 500 for saved cards",
        "Checkout p95 over 4 s",
        "Coupons applied twice",
        "Guest orders rejected",
    ),
)
LEDGER = Service(
    name="ledger",
    team=PAYMENTS,
    repository="ledger",
    repository_id=702_118_455,
    language="Kotlin",
    description="Double-entry books of every payment and refund",
    pagerduty_id="PSLEDGR",
    slack_channel="#ledger",
    channel_id="C06LEDGERX",
    topics=(
        "refund batches",
        "payout files",
        "currency rounding",
        "audit export",
        "month close",
        "chargebacks",
        "posting queue",
        "bank holidays",
    ),
    symptoms=(
        "Postings delayed by more than 10 min",
        "Refund batch stuck",
        "Payout file is empty",
        "Books out of balance in EUR",
    ),
)
SEARCH = Service(
    name="search",
    team=DISCOVERY,
    repository="search-api",
    repository_id=702_990_318,
    language="Rust",
    description="Finds products, ranks them and suggests the next word",
    pagerduty_id="PSSEARC",
    slack_channel="#discovery",
    channel_id="C06DISCOVR",
    topics=(
        "synonyms",
        "typo tolerance",
        "facet counts",
        "index warmup",
        "ranking weights",
        "suggestions",
        "stock filter",
        "query cache",
    ),
    symptoms=(
        "Search returns no results",
        "Index lag over 15 min",
        "Facet counts are zero",
        "Suggestions time out",
    ),
)
STOREFRONT = Service(
    name="storefront",
    team=DISCOVERY,
    repository="storefront",
    repository_id=703_415_862,
    language="TypeScript",
    description="The shop's pages, in two regions, deployed by Argo CD",
    pagerduty_id="PSSTORE",
    slack_channel="#discovery",
    channel_id="C06DISCOVR",
    topics=("product page", "image sizes", "consent banner", "wish list", "breadcrumbs", "page cache"),
    symptoms=("Product pages are blank", "Images load for 8 s", "Wish lists are empty"),
    platform="argocd",
    regions=("production-eu", "production-us"),
)
MAILER = Service(
    name="mailer",
    team=PAYMENTS,
    repository="mailer",
    repository_id=704_002_517,
    language="Ruby",
    description="Receipts and reminders by mail, on Heroku; nobody touched it for two months",
    pagerduty_id="PSMAILR",
    slack_channel="#payments",
    channel_id="C06PAYMENT",
    topics=("receipt layout", "bounce handling", "reminder times", "unsubscribe link"),
    symptoms=("Receipts arrive twice", "Mails wait in the queue"),
    platform="heroku",
    sleeps_days=60,
    busy=False,
)
PAYOUTS = Service(
    name="payouts",
    team=PAYMENTS,
    repository="back-office",
    repository_id=704_388_120,
    language="Kotlin",
    description="Pays sellers; shares the back office's repository with invoices",
    pagerduty_id="PSPAYOU",
    slack_channel="#payments",
    channel_id="C06PAYMENT",
    topics=("seller balances", "bank files", "payout limits", "holds"),
    symptoms=("Payouts are late", "A bank file was refused"),
    platform="argocd",
    regions=("production",),
    busy=False,
    folder="payouts",
)
INVOICES = replace(
    PAYOUTS,
    name="invoices",
    description="Bills sellers; shares the back office's repository with payouts",
    pagerduty_id="PSINVOI",
    topics=("invoice numbers", "reverse charge", "credit notes", "reminders"),
    symptoms=("Invoices without tax", "Credit notes are empty"),
    folder="invoices",
)
KIOSK = Service(
    name="kiosk",
    team=DISCOVERY,
    repository="kiosk",
    repository_id=704_511_903,
    language="C++",
    description="Screens in the shops, of two repositories, rolled out by a script",
    pagerduty_id="PSKIOSK",
    slack_channel="#discovery",
    channel_id="C06DISCOVR",
    topics=("card reader", "receipt printer", "idle screen", "barcode scan"),
    symptoms=("Kiosks restart", "The card reader hangs"),
    platform="report",
    busy=False,
)
# The second repository of a service.
OTHERS = {
    KIOSK.name: replace(KIOSK, repository="kiosk-ui", repository_id=704_511_977, topics=("big buttons", "languages"))
}
SERVICES = (CHECKOUT, LEDGER, SEARCH, STOREFRONT, MAILER, PAYOUTS, INVOICES, KIOSK)
# Search was the payments team's until then.
HANDED_OVER, HANDED_OVER_BY, HANDED_OVER_DAYS = SEARCH, PAYMENTS, 30


def handed_over_at(end: datetime) -> datetime:
    """The beginning of a day in UTC, in a story that ends then."""
    return (end - timedelta(days=HANDED_OVER_DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)


def catalog(end: datetime) -> str:
    """``catalog.yaml`` for this cast in a story that ends then; search keeps its deploys behind the default production
    pattern."""
    document = {
        "version": 1,
        "teams": [
            {"name": t.name, "slack_channel": t.slack_channel, "members": [m.key for m in t.members]} for t in TEAMS
        ],
        "people": [
            {
                "name": p.key,
                "github": [p.github],
                "slack": [p.slack],
                "pagerduty": [p.pagerduty],
                "email": [p.email],
            }
            for p in PEOPLE
        ],
        "services": [_service_entry(service, end) for service in SERVICES],
        "bots": [ROBOT.github],
    }
    return _as_yaml(document)


def _service_entry(service: Service, end: datetime) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": service.name,
        "team": service.team.name,
        "repositories": [each.full_name for each in (service, OTHERS.get(service.name)) if each],
        "incident_services": {"pagerduty": [service.pagerduty_id]},
    }
    if service.slack_channel != service.team.slack_channel:
        entry["slack_channel"] = service.slack_channel
    if service is STOREFRONT:
        entry["regions"] = {"production": list(service.regions)}
    if service.platform == "argocd":
        entry["deployments"] = {"argocd": [application(service, to) for to in (*service.regions, "staging")]}
    if service.folder:
        entry["paths"] = [f"{service.folder}/**"]
    if service is HANDED_OVER:
        entry["earlier_teams"] = [{"team": HANDED_OVER_BY.name, "until": handed_over_at(end).date()}]
    if service is MAILER:
        entry["deployments"] = {"heroku": [application(service, "")]}
    if service in (SEARCH, CHECKOUT):
        entry["deployments"] = {"argocd": [application(service, "production")]}
    if service is SEARCH:
        entry["authoritative"] = "github"
    if service in (CHECKOUT, LEDGER):
        entry["production"] = ["^production$"]
    return entry


def application(service: Service, environment: str) -> str:
    """What Argo CD or Heroku calls it."""
    if service.platform == "heroku":
        return f"{ORGANIZATION}-{service.name}"
    return f"{service.name}-{environment}"


def policy() -> str:
    """``policy.yaml``: two releasers agree to every production deploy, never the one who asked."""
    document = {
        "version": 1,
        "default_group": "release",
        "groups": {"release": {"people": [person.key for person in RELEASERS]}},
        "rules": [
            {
                "name": "production-deploys",
                "if": {"action": "deploy", "environment": ["production"]},
                "outcome": "require",
                "requires": {"group": "release", "count": QUORUM},
                "separation": ["requester"],
                "expires": {"after": "4h"},
            }
        ],
    }
    return _as_yaml(document)


def _as_yaml(document: dict[str, object]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
