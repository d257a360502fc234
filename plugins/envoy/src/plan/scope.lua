-- Finds the scope of a request, and keeps it from going round in circles. Envoy runs this on every request; the lines
-- before this file come from the planner: NODE and AS (who we are), GRAPH (hosts that mean the graph), WILD (wildcards by
-- suffix: true where somebody offers it, false where it is a stop).

local SCOPE_HEADER = "x-catalyst-scope"
local VIA_HEADER = "x-catalyst-via"
-- The namespace of the listener's stamp.
local STAMP = "catalyst"
-- More hops than any sane path has; a request that has passed them is going in circles that nobody signs.
local MAX_HOPS = 64
-- A name has at most 253 bytes; with a port, some more. What is longer is no host, however many dots it has.
local MAX_AUTHORITY = 264

-- The host without its port, in lower case; nil if it is no host. The second value is true for IP literals.
local function host_of(authority)
  if #authority > MAX_AUTHORITY then
    return nil, false
  end
  local v6 = authority:match("^%[([%x:%.]+)%]$") or authority:match("^%[([%x:%.]+)%]:%d*$")
  if v6 then
    return "[" .. v6:lower() .. "]", true
  end
  local host = authority:match("^([%w%._%-]+)$") or authority:match("^([%w%._%-]+):%d*$")
  if not host then
    return nil, false
  end
  host = host:lower():gsub("%.$", "")
  return host, host:match("^%d+%.%d+%.%d+%.%d+$") ~= nil
end

-- The longest wildcard that covers the host; nil if there is none or it is a stop.
local function wildcard_of(host)
  local dot = host:find(".", 1, true)
  while dot do
    local suffix = host:sub(dot)
    local offered = WILD[suffix]
    if offered ~= nil then
      return offered and "*" .. suffix or nil
    end
    dot = host:find(".", dot + 1, true)
  end
  return WILD[""] and "*" or nil
end

-- Whether the request has passed here before. `entry` is ours as a whole, or the AS before its '/'.
local function is_own(entry, via)
  if via == "as" then
    return entry == AS or entry:match("^(%d+)/") == AS
  end
  return entry == NODE
end

-- The via header to send on; nil if the request goes in a circle.
local function next_via(passed, via)
  local own = via == "as" and AS or NODE
  if via == "start" or passed == nil or passed == "" then
    return own
  end
  local hops = 0
  for entry in passed:gmatch("[^,%s]+") do
    hops = hops + 1
    if is_own(entry, via) or hops > MAX_HOPS then
      return nil
    end
  end
  return passed .. ", " .. own
end

local function choose(handle, headers, key)
  headers:replace(SCOPE_HEADER, key)
  handle:clearRouteCache()
end

-- metadata() makes Envoy look the route up; its name is empty where the scope has none.
local function has_route(handle)
  handle:metadata()
  local name = handle:streamInfo():routeName()
  return name ~= nil and name ~= ""
end

local function refuse(handle, status, text)
  handle:respond({[":status"] = status, ["content-type"] = "text/plain"}, text)
end

function envoy_on_request(handle)
  local here = handle:streamInfo():dynamicMetadata():get(STAMP)
  local headers = handle:headers()
  headers:remove(SCOPE_HEADER)
  -- Tunnels are for Envoys of other nodes. A route that opens CONNECT does so on every listener that finds it.
  local is_connect = headers:get(":method") == "CONNECT"
  if is_connect and here.via == "start" then
    refuse(handle, "405", "CONNECT is for peers: dial the port of the tcp service\n")
    return
  end
  local via = next_via(headers:get(VIA_HEADER), here.via)
  if not via then
    refuse(handle, "508", "loop: this request has been here before\n")
    return
  end
  headers:replace(VIA_HEADER, via)

  local authority = headers:get(":authority") or ""
  local host, literal = host_of(authority)
  if not host then
    handle:clearRouteCache()
    return
  end
  -- The authority of CONNECT must keep its port (RFC 9113 section 8.5).
  if host ~= authority and not is_connect then
    headers:replace(":authority", host)
  end
  if here.graph and (literal or GRAPH[host]) then
    choose(handle, headers, "graph")
    return
  end

  choose(handle, headers, "/" .. host)
  if next(WILD) == nil or has_route(handle) then
    return
  end
  local wildcard = wildcard_of(host)
  if wildcard then
    choose(handle, headers, "/" .. wildcard)
  end
end
