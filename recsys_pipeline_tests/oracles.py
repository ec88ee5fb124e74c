"""Slow, obvious versions of the transforms: rows are dicts, nothing is vectorised."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

TYPES = {
    "num_views": "view",
    "num_clicks": "click",
    "num_likes": "like",
    "num_cart_adds": "add_to_cart",
    "num_purchases": "purchase",
}
STRENGTH = ["view", "click", "like", "add_to_cart", "purchase"]
MASK = 2**64 - 1


def day_start(day):
    return datetime.combine(day, time(), UTC)


def quotient(numerator, denominator):
    return None if denominator == 0 else numerator / denominator


def _common(history):
    ratings = [round(e["rating"] * 100) for e in history if e["rating"] is not None]
    times = [e["timestamp"] for e in history]
    return {
        "total_interactions": len(history),
        "rating_count": len(ratings),
        "avg_rating": float(Fraction(sum(ratings), 100 * len(ratings))) if ratings else None,
        "first_interaction": min(times),
        "last_interaction": max(times),
        **{
            name: sum(e["interaction_type"] == word for e in history)
            for name, word in TYPES.items()
        },
    }


def user_row(history):
    row = _common(history)
    latest = sorted(
        history, key=lambda e: (-e["timestamp"].timestamp(), e["item_id"], e["interaction_type"])
    )
    span = row["last_interaction"] - row["first_interaction"]
    days_active = span // timedelta(days=1) + 1
    return row | {
        "unique_items": len({e["item_id"] for e in history}),
        "days_active": days_active,
        "active_day_count": len({e["date"] for e in history}),
        "interactions_per_day": row["total_interactions"] / days_active,
        "conversion_rate": quotient(row["num_purchases"], row["num_views"]),
        "cart_conversion_rate": quotient(row["num_purchases"], row["num_cart_adds"]),
        "recent_items": [e["item_id"] for e in latest[:50]],
    }


def item_row(history, weights):
    row = _common(history)
    total = row["total_interactions"]
    return row | {
        "unique_users": len({e["user_id"] for e in history}),
        "popularity_score": math.log1p(total),
        "engagement_score": sum(weights[e["interaction_type"]] for e in history) / total,
        "purchase_rate": quotient(row["num_purchases"], row["num_views"]),
        "click_through_rate": quotient(row["num_clicks"], row["num_views"]),
    }


def features(events, entity, row_of, days=None):
    rows = []
    for day, tenant, who in sorted({(e["date"], e["tenant"], e[entity]) for e in events}):
        if days is not None and day not in days:
            continue
        history = [
            e for e in events if e["tenant"] == tenant and e[entity] == who and e["date"] <= day
        ]
        keys = {"date": day, "tenant": tenant, entity: who}
        rows.append(keys | {"as_of": day_start(day + timedelta(days=1))} | row_of(history))
    return rows


def catalogue_as_of(versions, day):
    latest = {}
    for version in versions:
        if version["date"] <= day:
            latest.setdefault((version["tenant"], version["item_id"]), []).append(version)
    return [max(found, key=_version_rank) for _, found in sorted(latest.items())]


def _version_rank(version):
    names = ("date", "updated_at", "available", "title", "category", "brand", "price")
    names += ("description", "attributes")
    return [(version[n] is not None, version[n] if version[n] is not None else 0) for n in names]


def positives(events, config, days=None):
    found = []
    for event in events:
        chosen = config.get(event["tenant"])
        if chosen is None or event["interaction_type"] not in chosen.positive_types:
            continue
        if days is not None and event["date"] not in days:
            continue
        names = ("tenant", "date", "user_id", "item_id", "timestamp", "interaction_type")
        found.append({name: event[name] for name in names})
    rows = []
    groups = {}
    for row in found:
        if config[row["tenant"]].level == "event":
            rows.append(row)
        else:
            key = tuple(row[n] for n in ("tenant", "date", "user_id", "item_id"))
            groups.setdefault(key, []).append(row)
    for group in groups.values():
        strongest = max((r["interaction_type"] for r in group), key=STRENGTH.index)
        first = min(r["timestamp"] for r in group)
        rows.append(group[0] | {"timestamp": first, "interaction_type": strongest})
    order = ("tenant", "date", "user_id", "timestamp", "item_id", "interaction_type")
    return sorted(rows, key=lambda r: tuple(r[n] for n in order))


def candidates(events, versions, tenant, day):
    listed = {
        v["item_id"]
        for v in catalogue_as_of(versions, day)
        if v["tenant"] == tenant and v["available"]
    }
    return sorted(
        listed | {e["item_id"] for e in events if e["tenant"] == tenant and e["date"] <= day}
    )


def weights(events, names, tenant, day, chosen):
    if chosen.strategy == "uniform" or "popularity" not in {chosen.strategy, *dict(chosen.mix)}:
        return dict.fromkeys(names, 1)
    found = {}
    for name in names:
        count = sum(
            e["tenant"] == tenant and e["item_id"] == name and e["date"] < day for e in events
        )
        found[name] = round(Decimal(count + 1) ** Decimal(repr(chosen.alpha)) * 2**20)
    return found


def mix(word):
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return word ^ (word >> 31)


def fold(state, *words):
    for word in words:
        state = mix(((state ^ (word & MASK)) + 0x9E3779B97F4A7C15) & MASK)
    return state


def hash_string(text):
    state = 0xCBF29CE484222325
    for byte in text.encode():
        state = ((state ^ byte) * 0x100000001B3) & MASK
    return mix(state)


def words_of(weights):
    """Return how many of the 2**64 hash words w have floor(w * total / 2**64) in each's share."""
    total, until, counts = sum(weights), 0, []
    for weight in weights:
        first = -(-until * 2**64 // total)
        until += weight
        counts.append(-(-until * 2**64 // total) - first)
    return counts


def alias_columns(weights):
    """Return (threshold, alias) of each column, filled in the stated order, word by word."""
    size = max(2, 1 << (len(weights) - 1).bit_length())
    left = words_of(weights) + [0] * (size - len(weights))
    full, closed = 2**64 // size, set()
    columns = [(full, number) for number in range(size)]
    for column in range(size):
        number = column
        while number <= column and number not in closed and left[number] < full:
            giver = min(n for n in range(size) if n not in closed and left[n] >= full)
            closed.add(number)
            columns[number] = (left[number], giver)
            left[giver] -= full - left[number]
            number = giver
    return columns


def draw(slots, owner_state, names, weight, excluded, rounds=32):
    """Read one user's stream of proposals; return a name or None per slot."""
    left = [name for name in names if name not in excluded]
    total = sum(weight.values())
    uniform = set(weight.values()) == {1}
    columns = None if uniform else alias_columns([weight[name] for name in names])
    drawn = [None] * len(slots)
    pending = list(range(min(len(slots), len(left))))
    wanted = len(pending)
    scarce = sum(weight[name] for name in left) < total // 8
    if not (2 * wanted > len(left) or scarce):
        for attempt in range(rounds):
            unfilled = []
            for slot in pending:
                word = fold(slots[slot], attempt)
                if uniform:
                    place = word * total >> 64
                else:
                    column, coin = divmod(word, 2**64 // len(columns))
                    threshold, alias = columns[column]
                    place = column if coin < threshold else alias
                name = names[place]
                if name in excluded or name in drawn:
                    unfilled.append(slot)
                else:
                    drawn[slot] = name
            pending = unfilled
    keys = {}
    for name in left:
        word = fold(owner_state, hash_string(name))
        if uniform:
            keys[name] = word >> 1
        else:
            keys[name] = -math.log(((word >> 11) + 0.5) * 2.0**-53) / weight[name]
    rest = sorted((n for n in left if n not in drawn), key=lambda n: (keys[n], n))
    for slot, name in zip(pending, rest, strict=False):
        drawn[slot] = name
    return drawn


def draw_mixed(slots, wanted, names, weight, category, met, mixture, rounds=32):
    """Fill slots in turn; return (name, source, sampling and conditional probability) or None each.

    `wanted` has the category of each slot's positive, or None; `category` that of names that have
    one; `met` for what the user has met if it was only viewed; `mixture` an integer weight for each
    source, in the order in which the choice reads them.
    """
    viewed = [name for name in names if met.get(name) and "viewed" in mixture]
    barred = dict.fromkeys(("uniform", "popularity", "category"), met) | {"viewed": ()}
    none = dict.fromkeys(barred, ())
    drawn = []
    for slot, kind in zip(slots, wanted, strict=True):
        taken = {entry[0] for entry in drawn if entry}
        gone = {*met, *taken}
        if set(names) <= gone and set(viewed) <= taken:
            drawn.append(None)
            continue
        alike = [name for name in names if kind is not None and category.get(name) == kind]
        pools = {
            "uniform": dict.fromkeys(names, 1),
            "popularity": weight,
            "category": dict.fromkeys(alike, 1),
            "viewed": dict.fromkeys(viewed, 1),
        }
        own = dict(mixture)
        if set(alike) <= set(met):
            own.pop("category", None)
        if not viewed:
            own.pop("viewed", None)
        own = own or {"uniform": 1}
        source = at(fold(slot, 2**32), own)
        if "category" in own and set(alike) <= gone:
            own["uniform"] = own.get("uniform", 0) + own.pop("category")
            source = "uniform" if source == "category" else source
        if "viewed" in own and set(viewed) <= taken:
            own["uniform"] = own.get("uniform", 0) + own.pop("viewed")
            source = "uniform" if source == "viewed" else source
        if set(names) <= gone:
            own, source = {"viewed": 1}, "viewed"
        past = taken if source == "viewed" else gone
        name = first_new(slot, pools[source], past, rounds, aliased=source == "popularity")
        chances = (chance(name, own, pools, none), chance(name, own, pools, barred))
        drawn.append((name, source, *chances))
    return drawn


def at(word, weight):
    """Return the name in whose share of the words, in the order given, a word falls."""
    place = word * sum(weight.values()) >> 64
    for name, own in weight.items():
        if place < own:
            return name
        place -= own
    raise AssertionError


def first_new(slot, pool, gone, rounds, *, aliased):
    """Return the first proposal that is not gone, or one of those left."""
    names = list(pool)
    columns = alias_columns(list(pool.values())) if aliased else None
    for attempt in range(rounds):
        word = fold(slot, attempt)
        if aliased:
            column, coin = divmod(word, 2**64 // len(columns))
            threshold, alias = columns[column]
            name = names[column if coin < threshold else alias]
        else:
            name = at(word, pool)
        if name not in gone:
            return name
    return at(fold(slot, 2**32 + 1), {n: w for n, w in pool.items() if n not in gone})


def chance(name, own, pools, excluded):
    """Return the probability of a name in one draw without what is excluded from each source."""
    found = Fraction(0)
    for source, share in own.items():
        left = {n: w for n, w in pools[source].items() if n not in excluded[source]}
        found += Fraction(share * left.get(name, 0), sum(left.values()) * sum(own.values()))
    return float(found)


def shares(chosen):
    """Return the integer weight of each source of a strategy that chooses among sources."""
    mix = dict(chosen.mix) if chosen.strategy == "mixed" else {chosen.strategy: 1}
    exact = {source: Fraction(str(weight)) for source, weight in mix.items()}
    total = sum(exact.values())
    order = ("uniform", "popularity", "category", "viewed")
    return {s: max(1, round(exact[s] / total * 2**40)) for s in order if s in exact}


def negatives(found, events, versions, config):
    """Draw for each user-day in turn; return (rows, shortfall per (date, tenant))."""
    rows, short = [], {}
    user_days = sorted({(p["date"], p["tenant"], p["user_id"]) for p in found})
    for day, tenant, user in user_days:
        chosen = config[tenant]
        names = candidates(events, versions, tenant, day)
        weight = weights(events, names, tenant, day, chosen)
        past = [
            e for e in events if e["tenant"] == tenant and e["user_id"] == user and e["date"] <= day
        ]
        engaged = {e["item_id"] for e in past if e["interaction_type"] != "view"}
        met = {e["item_id"]: e["item_id"] not in engaged for e in past}
        own = sorted(
            (p["timestamp"], p["item_id"])
            for p in found
            if (p["date"], p["tenant"], p["user_id"]) == (day, tenant, user)
        )
        ordinal = (day - date(1970, 1, 1)).days
        state = fold(mix((chosen.seed + 0x9E3779B97F4A7C15) & MASK), hash_string(tenant), ordinal)
        state = fold(state, hash_string(user))
        slots, times = [], []
        for index, (when, item) in enumerate(own):
            micros = (when - day_start(date(1970, 1, 1))) // timedelta(microseconds=1)
            slot = fold(state, hash_string(item))
            if chosen.level == "event":
                slot = fold(slot, micros)
            repeat = own[:index].count((when, item))
            slots += [fold(slot, repeat * chosen.ratio + k) for k in range(chosen.ratio)]
            times += [when] * chosen.ratio
        if chosen.strategy in ("category", "viewed", "mixed"):
            listed = catalogue_as_of([v for v in versions if v["tenant"] == tenant], day)
            category = {v["item_id"]: v["category"] for v in listed}
            wanted = [category.get(item) for _, item in own for _ in range(chosen.ratio)]
            mixture = shares(chosen)
            filled = draw_mixed(slots, wanted, names, weight, category, met, mixture)
            short[day, tenant] = short.get((day, tenant), 0) + filled.count(None)
            columns = ("item_id", "negative_source", "sampling_probability")
            columns += ("conditional_probability",)
            rows += [
                {"tenant": tenant, "date": day, "user_id": user, "timestamp": when}
                | dict(zip(columns, entry, strict=True))
                for entry, when in zip(filled, times, strict=True)
                if entry is not None
            ]
            continue
        drawn = draw(slots, fold(state, 0x6578616374), names, weight, met)
        total = sum(weight.values())
        left = total - sum(weight[n] for n in names if n in met)
        short[day, tenant] = short.get((day, tenant), 0) + drawn.count(None)
        rows += [
            {
                "tenant": tenant,
                "date": day,
                "user_id": user,
                "item_id": name,
                "timestamp": when,
                "negative_source": chosen.strategy,
                "sampling_probability": float(Fraction(weight[name], total)),
                "conditional_probability": float(Fraction(weight[name], left)),
            }
            for name, when in zip(drawn, times, strict=True)
            if name is not None
        ]
    return rows, short


def newest_before(rows, day, keys, when="as_of"):
    """Return the newest of the rows with these keys that was known at the start of the day."""
    known = [
        row
        for row in rows
        if all(row[k] == v for k, v in keys.items())
        and (row[when] <= day_start(day) if when == "as_of" else row[when] < day)
    ]
    return max(known, key=lambda row: row[when], default=None)
