"""What the gateway's own server adds to the scope of a request; under other servers it is not there."""

from __future__ import annotations

# In the scope of a request whose body is too late.
TOO_SLOW = "thinkgate.body_too_slow"
# In the scope of every request: takes what is to be done if the client leaves before its answer is complete. No
# task has to be made and cancelled with every request, only to wait for the server's word of that.
ON_HANG_UP = "thinkgate.on_hang_up"
