// A page at a free port, which the first line of standard error says.
const express = require("express");

const app = express();
app.get("/hello/:name", (request, response) => {
  response.json({ hello: request.params.name, executable: process.execPath });
});
const server = app.listen(0, "127.0.0.1", () => {
  process.stderr.write(`${server.address().port}\n`);
});
