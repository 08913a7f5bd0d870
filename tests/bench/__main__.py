"""`make bench`: ratios within one run (machines are noisy), printed and written to build/*.json."""

import asyncio
import json
from pathlib import Path

from tests.bench import archive, hot_path

BUILD = Path("build")


def main() -> None:
    BUILD.mkdir(exist_ok=True)
    results = {"hot_path": hot_path.measure(), "archive": asyncio.run(archive.measure())}
    for name, result in results.items():
        (BUILD / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
        print(f"{name}:")
        for key, value in result.items():
            print(f"  {key:<44} {value}")


if __name__ == "__main__":
    main()
