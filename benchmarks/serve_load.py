"""The service under load: many clients at a time for a minute, on this machine, every answer compared with `predict`.

Each client sends one article after another over its own connection; one that is told to come back (429) does so when it
was told to, with the same article. The articles are labelled offline first, in this process; the service runs in a
process of its own with the default limits, as `scripts/serve.py` starts it. What is printed: answers and words a
second, the time to an answer, from when it was accepted and from when it was first asked for (median, 95 of 100,
longest), how often a client was told to come back, and what went wrong, which ends with status 1.

    python benchmarks/serve_load.py seeds --clients 64 --seconds 60
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import time
from collections import Counter
from itertools import count, islice
from pathlib import Path

import httpx
import numpy as np

from khabar.backends import load
from khabar.contract import COMPACT
from khabar.document import Document
from khabar.sources import articles

_CODE = """import logging, sys
from khabar.serve import serve
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
logging.getLogger("khabar.guard").setLevel(logging.WARNING)
serve(sys.argv[1], port=0, device="cpu", precision="float32")
"""


def same(found: Document, expected: Document) -> bool:
    """Whether two labellings are one, but for the last bits of scores."""
    return found == expected and all(
        abs((a.score or 0) - (b.score or 0)) < 1e-3 for a, b in zip(found.mentions(), expected.mentions(), strict=True)
    )


async def ask(
    address: str, expected: list[Document], clients: int, seconds: float
) -> tuple[dict[str, list[float]], Counter[str]]:
    """Ask until the time is over: seconds of each answer, accepted and in all, and how many answers were what."""
    times: dict[str, list[float]] = {"accepted": [], "in all": []}
    seen: Counter[str] = Counter()
    turn, until = count(), time.monotonic() + seconds

    async def client() -> None:
        async with httpx.AsyncClient(timeout=300, trust_env=False) as session:
            while time.monotonic() < until:
                await article(session, expected[next(turn) % len(expected)])

    async def article(session: httpx.AsyncClient, one: Document) -> None:
        first = time.monotonic()
        while (began := time.monotonic()) < until:
            try:
                answer = await session.post(f"{address}/label", json={"id": one.id, "text": one.text})
            except httpx.HTTPError as error:
                seen[type(error).__name__] += 1
                return
            if answer.status_code == 429:
                seen["told to come back"] += 1
                await asyncio.sleep(int(answer.headers["Retry-After"]))
                continue
            if answer.status_code != 200:
                seen[f"status {answer.status_code}"] += 1
                return
            times["accepted"].append(time.monotonic() - began)
            times["in all"].append(time.monotonic() - first)
            if same(Document.from_json(answer.json()["articles"][0]), one):
                seen["as offline"] += 1
                seen["words"] += len(one.text.split())
            else:
                seen["unlike offline"] += 1
            return
        seen["not answered by the end"] += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    return times, seen


def spread(times: list[float]) -> list[float]:
    """The median, what 95 of 100 are within, and the longest."""
    return [round(float(one), 2) for one in np.percentile(times, [50, 95, 100])] if times else []


def main() -> None:
    """Label offline, serve, ask, print."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("sources", nargs="+", help="as of khabar.predict")
    parser.add_argument("--model", type=Path, default=COMPACT)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--articles", type=int, default=32, help="different ones, at most (default: 32)")
    parser.add_argument("--longest", type=int, default=600, help="characters that are taken of each (default: 600)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    found = [one for one in islice(articles(options.sources), options.articles) if isinstance(one, Document)]
    plain = [Document(str(n), one.text[: options.longest]) for n, one in enumerate(found, start=1)]
    expected = list(load(options.model, "cpu", precision="float32").tag(plain))
    command = [sys.executable, "-c", _CODE, str(options.model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next(line for line in process.stdout if line.startswith("http://")).strip()
        httpx.post(f"{address}/label", json={"text": plain[0].text}, timeout=300, trust_env=False)
        began = time.monotonic()
        times, seen = asyncio.run(ask(address, expected, options.clients, options.seconds))
        took = time.monotonic() - began
        process.terminate()
        process.wait(120)
    print(
        json.dumps(
            {
                "clients": options.clients,
                "seconds": round(took, 1),
                **seen,
                "answers/s": round(seen["as offline"] / took, 2),
                "words/s": round(seen["words"] / took),
                **{f"{name}: p50, p95, longest s": spread(found) for name, found in times.items()},
                "exit code": process.returncode,
            },
            indent=2,
        )
    )
    back_pressure = {"told to come back", "not answered by the end"}
    if set(seen) - back_pressure != {"as offline", "words"} or process.returncode:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
