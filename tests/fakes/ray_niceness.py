"""Ray gives its workers the niceness 15. Beside other busy tests a trial would then get a thirtieth
of a core and run into every time limit, so all tests take this into the environment."""

EVEN = {"RAY_worker_niceness": "0"}
