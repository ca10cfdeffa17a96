-- All that is stored of a channel goes, and another numbering begins, which knows that this one was deleted.
-- → 'ok' epoch offset
if offset > 0 or parts > 0 or previous ~= '' then
  local before = epoch
  epoch, offset, previous, fork, parts, chain = ARGV[4], 0, before, 0, 0, nil
  keep() -- first: where the memory is full, this fails, and nothing was changed
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], sources_key(), ancestors_key())
  redis.call('SET', deleted_key(), before, 'PX', ARGV[5])
  announce('\1rdeleted')
end
return {'ok', epoch, text(offset)}
