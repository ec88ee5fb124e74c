"""Samples in the forms of public data sets, through the built-in mappings."""

from __future__ import annotations

import json

import polars as pl
import pytest

from recsys_pipeline.errors import MappingError
from recsys_pipeline.ingestion.mapping import builtin_names, load_mapping
from recsys_pipeline.transforms.validation import split
from recsys_pipeline_tests.ingestion.files import blocks_of, landed_of, mapping_of, write

EVENT = ("user_id", "item_id", "interaction_type", "rating", "timestamp")

REVIEW = {
    "rating": 5.0,
    "title": "Such a lovely scent",
    "text": "This spray is really nice.",
    "images": [],
    "asin": "B00YQ6X8EO",
    "parent_asin": "B00YQ6X8EP",
    "user_id": "AGKHLEW2SOWHNMFQIJGBECAF7INQ",
    "timestamp": 1588687728923,
    "helpful_vote": 0,
    "verified_purchase": True,
}
META = {
    "main_category": "All Beauty",
    "title": "Howard LC0008 Leather Conditioner, 8-Ounce (4-Pack)",
    "average_rating": 4.8,
    "rating_number": 10,
    "features": ["cleans", "conditions"],
    "description": [],
    "price": None,
    "images": [{"thumb": "https://example.test/a.jpg"}],
    "store": "Howard Products",
    "categories": ["Beauty", "Skin"],
    "details": {"Brand": "Howard"},
    "parent_asin": "B01CUPMQZE",
    "bought_together": None,
}
OLD_REVIEW = {
    "overall": 2.0,
    "verified": True,
    "reviewTime": "01 1, 2018",
    "reviewerID": "AUI6WTTT0QZYS",
    "asin": "5120053084",
    "reviewerName": "Abbey",
    "reviewText": "I now have 4 of them",
    "summary": "Four",
    "unixReviewTime": 1514764800,
}
MOVIE_100K = (
    "1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)"
    "|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "1366|Mis\xe9rables, Les (1995)|01-Jan-1995||http://us.imdb.com/M/|0|0|0|0|0|0|0|0|1|0|0|0|1|0|0|0|0|0|0\n"
    "267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
)

CASES = [
    (
        "retailrocket",
        "events.csv",
        (
            "timestamp,visitorid,event,itemid,transactionid\n"
            "1433221332117,257597,view,355908,\n"
            "1433222276276,599528,transaction,356475,4000\n"
            "1433223236124,121688,addtocart,15335,\n"
        ),
        [
            ("257597", "355908", "view", None, "2015-06-02T05:02:12.117"),
            ("599528", "356475", "purchase", None, "2015-06-02T05:17:56.276"),
            ("121688", "15335", "add_to_cart", None, "2015-06-02T05:33:56.124"),
        ],
    ),
    (
        "amazon-reviews",
        "All_Beauty.jsonl",
        json.dumps(REVIEW) + "\n",
        [(REVIEW["user_id"], "B00YQ6X8EP", "like", 5.0, "2020-05-05T14:08:48.923")],
    ),
    (
        "amazon-reviews",
        "All_Beauty.csv",
        "user_id,parent_asin,rating,timestamp\nA1,B1,3.0,1588687728923\n",
        [("A1", "B1", "view", 3.0, "2020-05-05T14:08:48.923")],
    ),
    (
        "amazon-reviews-2018",
        "AMAZON_FASHION.json",
        json.dumps(OLD_REVIEW) + "\n" + json.dumps(OLD_REVIEW | {"overall": 4.0}) + "\n",
        [
            ("AUI6WTTT0QZYS", "5120053084", "view", 2.0, "2018-01-01T00:00:00"),
            ("AUI6WTTT0QZYS", "5120053084", "like", 4.0, "2018-01-01T00:00:00"),
        ],
    ),
    (
        "yoochoose",
        "yoochoose-clicks.dat",
        "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,S\n",
        [
            ("1", "214536502", "click", None, "2014-04-07T10:51:09.277"),
            ("1", "214536500", "click", None, "2014-04-07T10:54:09.868"),
        ],
    ),
    (
        "yoochoose-buys",
        "yoochoose-buys.dat",
        "420374,2014-04-06T18:44:58.314Z,214537888,12462,1\n",
        [("420374", "214537888", "purchase", None, "2014-04-06T18:44:58.314")],
    ),
    (
        "movielens-100k",
        "u.data",
        "196\t242\t3\t881250949\n186\t302\t4\t891717742\n",
        [
            ("196", "242", "view", 3.0, "1997-12-04T15:55:49"),
            ("186", "302", "like", 4.0, "1998-04-04T19:22:22"),
        ],
    ),
    (
        "movielens-1m",
        "ratings.dat",
        "1::1193::5::978300760\n1::661::3::978302109\n",
        [
            ("1", "1193", "like", 5.0, "2000-12-31T22:12:40"),
            ("1", "661", "view", 3.0, "2000-12-31T22:35:09"),
        ],
    ),
    (
        "movielens",
        "ratings.csv",
        "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n",
        [("1", "1", "like", 4.0, "2000-07-30T18:45:03")],
    ),
]


@pytest.mark.parametrize(("mapping", "name", "text", "expected"), CASES)
def test_events(tmp_path, mapping, name, text, expected):
    landed = landed_of(write(tmp_path, name, text), load_mapping(mapping, "interactions"))
    times = pl.col("timestamp").dt.replace_time_zone(None).dt.to_string("iso:strict")
    found = landed.select(*EVENT[:-1], times.str.strip_suffix(".000000").str.replace("000$", ""))
    assert found.rows() == expected
    assert landed["problem"].null_count() == landed.height
    assert split(landed.lazy().collect(), "interactions", None).valid.height == landed.height


def test_every_built_in_mapping_has_a_sample():
    elsewhere = {"taobao", "rees46"}  # on real files, in test_real_files.py
    assert {case[0] for case in CASES} | elsewhere == set(builtin_names())


def items(tmp_path, mapping, name, data):
    landed = landed_of(write(tmp_path, name, data), load_mapping(mapping, "items"))
    return landed.select("item_id", "title", "category", "brand", "price", "attributes").rows()


def test_amazon_catalogue(tmp_path):
    (row,) = items(tmp_path, "amazon-reviews", "meta_All_Beauty.jsonl", json.dumps(META) + "\n")
    assert row[:5] == ("B01CUPMQZE", META["title"], "All Beauty", "Howard Products", None)
    assert json.loads(row[5])["rating_number"] == "10"


def test_movielens_1m_catalogue(tmp_path):
    text = "53::Lamerica (1994)::Drama\n260::Star Wars: Episode IV::Action|Fantasy\n"
    data = (text + "73::Mis\xe9rables, Les (1995)::Drama|Musical\n").encode("latin-1")
    rows = items(tmp_path, "movielens-1m", "movies.dat", data)
    assert [row[:3] for row in rows] == [
        ("53", "Lamerica (1994)", "Drama"),
        ("260", "Star Wars: Episode IV", "Action"),
        ("73", "Misérables, Les (1995)", "Drama"),
    ]
    assert json.loads(rows[1][5]) == {"genres": "Action|Fantasy"}


def test_movielens_100k_catalogue(tmp_path):
    rows = items(tmp_path, "movielens-100k", "u.item", MOVIE_100K.encode("latin-1"))
    assert [row[:3] for row in rows] == [
        ("1", "Toy Story (1995)", "Animation"),
        ("1366", "Misérables, Les (1995)", "Drama"),
        ("267", "unknown", "unknown"),
    ]
    assert json.loads(rows[0][5])["Children's"] == "1"


LONG = '[format]\ndelimiter = "::"\nquote = ""\nheader = false\ncolumns = ["a", "b"]\n'


def test_a_line_that_is_no_row_is_kept_as_it_was_sent(tmp_path):
    path = write(tmp_path, "f.dat", "1::2\n1::2::3\nx:y\n::\n1::\x1f2\n")
    rows, bad = blocks_of(path, mapping_of(LONG))
    assert rows.rows() == [("1", "2", 1), (None, None, 4)]
    assert bad["text"].to_list()[:2] == ["1::2::3", "x:y"]
    assert bad["position"].to_list() == [2, 3, 5]


def test_any_cut_of_the_file_gives_the_same_rows(tmp_path, tiny_chunks):
    lines = [f"{n}::title: {n}:" for n in range(200)]
    rows, bad = blocks_of(write(tmp_path, "f.dat", "\n".join(lines)), mapping_of(LONG))
    assert bad.is_empty()
    assert rows.rows() == [(str(n), f"title: {n}:", n + 1) for n in range(200)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[format]\ndelimiter = "::"\n', "quote"),
        ('[format]\ndelimiter = "a\\nb"\nquote = ""\n', "line break"),
        ('[columns]\ncategory = "g"\n[first_flag]\ncategory = ["x"]\n', "both in columns"),
        ('[first_flag]\ncategry = ["x"]\n', "unknown key"),
    ],
)
def test_wrong_mappings(text, words):
    with pytest.raises(MappingError, match=words):
        mapping_of(text, "items")


def test_a_flag_that_the_file_lacks_is_an_error(tmp_path):
    mapping = mapping_of('[first_flag]\ncategory = ["Action", "Dram"]\n', "items")
    path = write(tmp_path, "f.csv", "item_id,title,Action,Drama\n1,t,0,1\n")
    with pytest.raises(MappingError, match="has no column 'Dram', a flag of category"):
        landed_of_checked(path, mapping)


def landed_of_checked(path, mapping):
    rows, _ = blocks_of(path, mapping)
    mapping.check_columns([c for c in rows.columns if c != "#"], path, complete=True)


def test_keys_of_files_stay_what_they_were():
    # a change here lands files again that have landed before
    assert mapping_of(None).fingerprint() == "259ab81b13d59ac117fd358b48ad0826"
