"""Who and what the story is about: two teams, eight people, three services, and the files naming them."""

from dataclasses import dataclass

import yaml

ORGANIZATION = "tidewater"
ORGANIZATION_ID = 48_211_907
INSTALLATION_ID = 51_730_442
DEFAULT_BRANCH = "main"
QUORUM = 2


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
    """One service is one repository; ``topics`` are the words its changes are about."""

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
SERVICES = (CHECKOUT, LEDGER, SEARCH)


def catalog() -> str:
    """``catalog.yaml`` for this cast; search keeps its deploys behind the default production pattern."""
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
        "services": [_service_entry(service) for service in SERVICES],
        "bots": [ROBOT.github],
    }
    return _as_yaml(document)


def _service_entry(service: Service) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": service.name,
        "team": service.team.name,
        "repositories": [service.full_name],
        "incident_services": {"pagerduty": [service.pagerduty_id]},
    }
    if service.slack_channel != service.team.slack_channel:
        entry["slack_channel"] = service.slack_channel
    if service is not SEARCH:
        entry["production"] = ["^production$"]
    return entry


def policy() -> str:
    """``policy.yaml``: two releasers agree to every production deploy, never the one who asked."""
    document = {
        "version": 1,
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
