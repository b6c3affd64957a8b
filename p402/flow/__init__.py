"""One request from admission to log row, through ports. See `p402.flow.chat`."""
