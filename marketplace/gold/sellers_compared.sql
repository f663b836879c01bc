WITH sellers AS (
  SELECT
    coalesce(country, '(unknown)') AS country,
    CASE gender WHEN 'F' THEN 'Female' WHEN 'M' THEN 'Male' ELSE '(unknown)' END AS sex,
    productsSold AS sold,
    productsListed AS listed,
    productsPassRate AS pass_rate,
    productsBought AS bought,
    productsWished AS wished,
    socialProductsLiked AS liked,
    socialNbFollowers AS followers,
    socialNbFollows AS follows,
    hasAnyApp AS has_app,
    hasIosApp AS has_ios,
    seniority
  FROM silver_users
  WHERE productsSold > 0 OR productsListed > 0
)
SELECT
  country,
  sex,
  count(*) AS nbsellers,
  round(avg(sold), 2) AS meanproductssold,
  round(avg(listed), 2) AS meanproductslisted,
  -- As decimals, because a sum of doubles depends on the order of its parts.
  CAST(round(avg(CAST(pass_rate AS DECIMAL(9, 4))), 2) AS DOUBLE) AS meansellerpassrate,
  coalesce(sum(sold), 0) AS totalproductssold,
  coalesce(sum(listed), 0) AS totalproductslisted,
  round(avg(bought), 2) AS meanproductsbought,
  round(avg(wished), 2) AS meanproductswished,
  round(avg(liked), 2) AS meanproductsliked,
  coalesce(sum(bought), 0) AS totalbought,
  coalesce(sum(wished), 0) AS totalwished,
  coalesce(sum(liked), 0) AS totalproductsliked,
  round(avg(followers), 1) AS meanfollowers,
  round(avg(follows), 1) AS meanfollows,
  nullif(100 * count_if(has_app) DIV count(*), 0) AS percentofappusers,
  nullif(100 * count_if(has_ios) DIV count(*), 0) AS percentofiosusers,
  avg(seniority) AS meanseniority
FROM sellers
GROUP BY GROUPING SETS ((country, sex), (sex), ())
HAVING count(*) > 0
ORDER BY country NULLS LAST, sex NULLS LAST
