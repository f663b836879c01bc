SELECT user_id
FROM silver_objections
WHERE withdrawn_at IS NULL
