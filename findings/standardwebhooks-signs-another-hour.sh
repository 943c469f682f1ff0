#!/usr/bin/env bash
# standardwebhooks refuses a webhook that it has signed itself, where the time it was given is not told in UTC.
#
# `sign(id, time, body)` throws the zone away and takes the clock's face for UTC: 14:00+02:00 is signed as 14:00 UTC,
# while the header has the true second. In UTC, so on most servers, it works. A naive local time signs so too.
# svix does the same. Sign with `datetime.now(timezone.utc)`.
# Seen with standardwebhooks 1.1.0 and svix 2.9.1: "No matching signature found" for all zones but UTC.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq standardwebhooks==1.1.0 svix==2.9.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import base64, sys
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
import standardwebhooks, svix.webhooks

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
BODY = '{"event":"job.completed"}'
now = datetime.now(timezone.utc)

def verified(library, prefix, hours):
    """What a library says to what it signed now, told in the zone that is so many hours ahead."""
    webhook, moment = library.Webhook(SECRET), now.astimezone(timezone(timedelta(hours=hours)))
    assert moment == now
    signature, second = webhook.sign("msg_1", moment, BODY), str(int(moment.timestamp()))
    headers = {f"{prefix}-id": "msg_1", f"{prefix}-timestamp": second, f"{prefix}-signature": signature}
    try:
        webhook.verify(BODY, headers)
    except library.WebhookVerificationError as error:
        return str(error)
    return "verified"

print("versions: standardwebhooks", version("standardwebhooks"), "and svix", version("svix"))
print("expected: the same moment has the same signature in each zone")
seen = {}
for library, prefix in ((standardwebhooks, "webhook"), (svix.webhooks, "svix")):
    for hours in (0, 1, -5):
        seen[prefix, hours] = verified(library, prefix, hours)
        print(f"seen:     {prefix}-signature at UTC{hours:+}: {seen[prefix, hours]}")
in_utc = {answer for (_, hours), answer in seen.items() if hours == 0}
elsewhere = {answer for (_, hours), answer in seen.items() if hours != 0}
sys.exit(0 if in_utc == {"verified"} and elsewhere == {"No matching signature found"} else 1)
END
