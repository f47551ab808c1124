"""Until when a signed address works, in every form in which object stores say so."""

import pytest

from relay.answers.picture_links import LinkedPicture, expiry, open_link, picture_link
from relay.media_tasks.signed_addresses import valid_until

END = 1_767_229_200  # 2026-01-01T01:00:00Z
HOUR = "20260101T000000Z"
ADDRESSES = {
    "OSS V1": f"OSSAccessKeyId=a&Expires={END}&Signature=s%2Bs%3D",
    "OSS V4": "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=a%2F20260101%2Fcn%2Foss"
              f"&x-oss-date={HOUR}&x-oss-expires=3600&x-oss-signature=s",
    "S3 V2": f"AWSAccessKeyId=a&Signature=s&Expires={END}",
    "S3 SigV4": f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={HOUR}&X-Amz-Expires=3600"
                "&X-Amz-SignedHeaders=host&X-Amz-Signature=s",
    "GCS V2": f"GoogleAccessId=a&Expires={END}&Signature=s",
    "GCS V4": f"X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Date={HOUR}&X-Goog-Expires=3600"
              "&X-Goog-Signature=s",
    "Azure SAS": "st=2025-12-31T23%3A00%3A00Z&se=2026-01-01T01%3A00%3A00Z&sp=r&sv=2024-11-04"
                 "&sr=b&sig=s",
    "Azure SAS, to the minute": "se=2026-01-01T01%3A00Z&sig=s",
    "Azure SAS, with a zone": "se=2026-01-01T02%3A00%3A00%2B01%3A00&sig=s",
    "CloudFront": f"Expires={END}&Signature=s&Key-Pair-Id=K",
    "TOS": f"X-Tos-Algorithm=TOS4-HMAC-SHA256&X-Tos-Date={HOUR}&X-Tos-Expires=3600"
           "&X-Tos-Signature=s",
    "COS": f"q-sign-algorithm=sha1&q-ak=a&q-sign-time={END - 60};{END}&q-signature=s",
    "the first of two": f"Expires={END + 60}&X-Amz-Date={HOUR}&X-Amz-Expires=3600",
    "behind it a fragment": f"Expires={END}#x",
}  # fmt: skip


@pytest.mark.parametrize("form", ADDRESSES)
def test_address_states_its_expiry(form: str) -> None:
    url = f"https://store.example/a/b.png?{ADDRESSES[form]}"
    assert valid_until(url) == END
    assert expiry(url, END - 7200) == END
    assert expiry(url, END - 48 * 3600) == END - 24 * 3600  # a day at the latest


@pytest.mark.parametrize(
    "query",
    ["", "Expires=", "Expires=soon", "Expires=-1", "Expires=" + "9" * 30, "Expires=\u0661",
     "x-oss-expires=3600", f"x-oss-date={HOUR}", "X-Amz-Date=soon&X-Amz-Expires=3600",
     f"X-Amz-Date={HOUR}&X-Goog-Expires=3600", "se=2026-01-01T01%3A00%3A00Z", "se=soon&sig=s",
     "q-sign-time=1", "a&" * 200 + f"Expires={END}"],
)  # fmt: skip
def test_address_without_a_known_expiry_lasts_a_day(query: str) -> None:
    url = f"https://store.example/a?{query}"
    assert valid_until(url) is None
    assert expiry(url, END) == END + 24 * 3600


def test_an_address_without_a_query_says_nothing() -> None:
    assert valid_until("https://store.example/Expires=1") is None


def test_picture_link_works_until_the_second_of_its_expiry() -> None:
    picture = LinkedPicture(url="https://a.example/x", channel="c", model="m", expires=END)
    text = picture_link("pepper", "", picture).split("/")[3]
    assert open_link("pepper", text, END - 0.5) == picture
    assert open_link("pepper", text, END) is None
    assert open_link("other", text, END - 0.5) is None
