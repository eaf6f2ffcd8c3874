CREATE TABLE entry (
  id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  author  text NOT NULL CHECK (author <> ''),
  message text NOT NULL CHECK (message <> ''),
  written timestamptz NOT NULL DEFAULT now()
);
