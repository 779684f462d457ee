"""A service whose readiness hangs on PostgreSQL, Redis or RabbitMQ."""

from __future__ import annotations

import os
import threading

from fastapi import FastAPI

import svcready

app = FastAPI()
svcready.init(service="outages", app=app)
PORT = int(os.environ["BACKEND_PORT"])
KIND = os.environ["BACKEND"]

if KIND == "postgresql":
    from sqlalchemy import create_engine

    engine = create_engine(
        f"postgresql+psycopg://orders@127.0.0.1:{PORT}/postgres",
        pool_size=2,
        max_overflow=0,
    )
    svcready.health.add_engine(engine, name="backend", critical=True)
elif KIND == "postgresql-async":
    from sqlalchemy.ext.asyncio import create_async_engine

    async_engine = create_async_engine(
        f"postgresql+psycopg://orders@127.0.0.1:{PORT}/postgres",
        pool_size=2,
        max_overflow=0,
    )
    svcready.health.add_engine(async_engine, name="backend", critical=True)
elif KIND == "redis":
    import redis

    client = redis.Redis(port=PORT)
    svcready.health.add_redis(client, name="backend", critical=True)
else:
    url = f"amqp://guest:guest@127.0.0.1:{PORT}/"
    svcready.health.add_pika(url, name="backend", critical=True)


@app.get("/threads")
async def threads() -> dict[str, int]:
    return {"threads": threading.active_count()}
