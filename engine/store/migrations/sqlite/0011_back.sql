-- When a peer returned who had left, or might have: `back` is null while he has left. What a carrier
-- says of a text that it was given before counts no more.
ALTER TABLE opt_outs ADD COLUMN back INTEGER;
