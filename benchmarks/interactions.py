"""Lists and full-text search over a million interactions, through the use cases and over HTTP."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from support import call, keep, median, quintet, timed

COUNT = 1_000_000
WORDS = [f"word{n}" for n in range(5_000)]


def fill(data: Path) -> None:
    """Straight into the storage layer: a million calls over HTTP would measure something else."""
    from quintet.domain.ids import new_id
    from quintet.domain.interactions import Interaction
    from quintet.server.composition import open_parts
    from quintet.server.settings import load_settings
    from quintet.storage import interactions as store

    parts = open_parts(load_settings({"data": str(data)})[0])
    draw = random.Random(0)
    space, user = parts.admin.space_id, parts.admin.user_id
    names = [f"model-{n}" for n in range(20)]
    hashes = [f"{n:032x}" for n in range(10_000)]
    now = parts.core.clock() - COUNT * 1000
    for start in range(0, COUNT, 5_000):
        items = [
            Interaction(
                id=new_id(), space_id=space, project_id=None, created_at=now + (start + n) * 1000,
                messages=[{"role": "user", "content": " ".join(draw.choices(WORDS, k=8))}],
                completion=" ".join(draw.choices(WORDS, k=8)) + (" needle" if (start + n) % 200_000 == 0 else ""),
                user_id=user, model_name=draw.choice(names), prompt_hash=draw.choice(hashes), prompt_tokens=8,
                completion_tokens=8, latency_us=1000, labels={"split": "a" if n % 10 else "b"} if n % 5 == 0 else {},
            )
            for n in range(5_000)
        ]  # fmt: skip
        parts.core.db.write(lambda tx, items=items: store.insert_many(tx, items))
    parts.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        fill(data)
        figures = through_use_cases(data)
        with quintet(data) as server:
            listed = timed(
                lambda: call(f"{server.url}/v1/chat/completions?limit=50&model=model-3", key=server.key), 30
            )
            figures["list_50_over_http_median_ms"] = round(median(listed), 2)
        keep("interactions", {"stored": COUNT, **figures})


def through_use_cases(data: Path) -> dict[str, float]:
    from quintet.app.interactions.manage import InteractionFilter, list_interactions
    from quintet.domain.page import PageRequest
    from quintet.server.composition import open_parts
    from quintet.server.settings import load_settings

    parts = open_parts(load_settings({"data": str(data)})[0], create=False)

    def page(wanted: InteractionFilter, after: str | None = None) -> str | None:
        found = parts.core.read_now(parts.admin, list_interactions, wanted, PageRequest(limit=50, after=after))
        assert found.items
        return found.next_cursor

    model = InteractionFilter(model_name="model-3")
    deep = None
    for _ in range(200):
        deep = page(model, deep)
    try:
        return {
            "list_50_median_ms": round(median(timed(lambda: page(model), 50)), 2),
            "list_50_at_page_200_median_ms": round(median(timed(lambda: page(model, deep), 50)), 2),
            "list_50_unfiltered_median_ms": round(median(timed(lambda: page(InteractionFilter()), 50)), 2),
            "list_50_by_label_median_ms": round(
                median(timed(lambda: page(InteractionFilter(labels=(("split", ("b",)),))), 20)), 2
            ),
            "search_common_word_median_ms": round(
                median(timed(lambda: page(InteractionFilter(text="word77")), 20)), 2
            ),
            "search_two_words_median_ms": round(
                median(timed(lambda: page(InteractionFilter(text="word77 word78")), 20)), 2
            ),
            "search_rare_word_median_ms": round(
                median(timed(lambda: page(InteractionFilter(text="needle")), 20)), 2
            ),
        }
    finally:
        parts.close()


if __name__ == "__main__":
    main()
