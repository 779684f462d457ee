"""
Django: the request lifecycle as the first middleware, sync and async.

```python
INSTALLED_APPS = ["svcready.adapters.django", ...]
MIDDLEWARE = ["svcready.adapters.django.Middleware", ...]
svcready.init(service="orders")  # optional, in settings.py
```
"""

from __future__ import annotations

from svcready.adapters.django._middleware import Middleware

__all__ = ["Middleware"]
