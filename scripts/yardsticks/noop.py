"""A FastAPI app that does nothing: what one request costs before any work is done.

    uvicorn scripts.yardsticks.noop:app

`POST /noop` reads the whole body and answers 201, `GET /noop/{unit}` answers 200; both with a small document.
It imports nothing of the service; `custody bench` runs it beside it, on the same HTTP stack.
"""

from fastapi import FastAPI, Request, Response

app = FastAPI(openapi_url=None)
ANSWER = b'{"state":"included"}'


@app.post("/noop", status_code=201)
async def post(request: Request) -> Response:
    """Read the body and answer."""
    await request.body()
    return Response(ANSWER, 201, media_type="application/json")


@app.get("/noop/{unit}")
async def get(unit: str) -> Response:
    """Answer."""
    del unit
    return Response(ANSWER, media_type="application/json")
